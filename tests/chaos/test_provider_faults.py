"""A provider of which half the calls fail, in every way: judged by its plan, its log and a reader of the output."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from streamer.testing.servers import Plan, text_for
from tests.chaos.processes import DELIVERIES, Site, size

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(600)]

SHARES = {"status": 0.2, "hang": 0.1, "rate_limit": 0.1, "malformed": 0.05, "truncated": 0.05}
SEED = 23
CATEGORIES = {
    None: set(),
    "status": {"server_error", "overloaded"},
    "hang": {"timeout"},
    "rate_limit": {"rate_limit"},
    "malformed": {"invalid_response"},
    "truncated": {"invalid_response", "network"},
}
"""How an attempt of each fate may end; a slow machine makes a timeout of any."""


def asked(count: int) -> Iterator[dict[str, Any]]:
    """Tasks that are answered whole and in pieces by turns, and give up after three attempts."""
    for number in range(count):
        yield {
            "id": f"t{number}",
            "kind": "llm",
            "model": "openai:streamed" if number % 2 else "openai:whole",
            "prompt": f"question {number}",
            "timeout": 2,
            "retry": {"max_attempts": 3, "initial_delay": 0.05, "max_delay": 1},
        }


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_half_of_all_calls_fail_and_every_answer_is_whole(site: Site, delivery: str):
    """One result each, no piece of an answer among the successes, and the attempts are those the server counted."""
    count = size(2_000)
    shares = ",".join(f"{fate}={share}" for fate, share in SHARES.items())
    url, _ = await site.model_server("--plan", shares, "--seed", str(SEED))
    worker = await site.worker(url, "--delivery", delivery, module="tests/chaos/modules/streamed.py")
    await site.rig.produce(asked(count))
    results = [out.value for out in await site.rig.read(count, seconds=400, settle=1.0)]
    await site.rig.all_committed()
    assert await worker.terminate() == 0

    assert Counter(result["task_id"] for result in results) == Counter(f"t{n}" for n in range(count))
    statuses = Counter(result["status"] for result in results)
    assert statuses["succeeded"] + statuses["failed"] + statuses["timed_out"] == count
    plan = Plan(SHARES, SEED)
    received = order_of_attempts(site)
    for result in results:
        prompt = f"question {result['task_id'][1:]}"
        judge(result, prompt, plan, received.get(prompt, []))
    assert set(received) <= {f"question {number}" for number in range(count)}
    attempts = sum(len(result["attempts"]) for result in results)
    print(f"{delivery}: {count} tasks, {attempts} calls, {dict(statuses)}")


def judge(result: dict[str, Any], prompt: str, plan: Plan, received: list[str]) -> None:
    """One result against the truth: what the plan did to each of its calls, in the order of the server's log."""
    attempts = result["attempts"]
    ids = [attempt["id"] for attempt in attempts]
    assert ids == [f"{result['task_id']}#{number}" for number in range(1, len(attempts) + 1)]
    assert len(set(received)) == len(received), f"{received}: an attempt was made twice"
    assert set(received) <= set(ids), f"{received}: the result tells of {ids} only"
    fates = {attempt: plan.fate(prompt, number) for number, attempt in enumerate(received, 1)}
    for attempt in attempts:
        if attempt["id"] not in fates:  # it was given up on its way to the server
            assert attempt["category"] in ("timeout", "network"), attempt
        elif attempt["outcome"] != "succeeded":
            assert attempt["category"] in CATEGORIES[fates[attempt["id"]]] | {"timeout"}, attempt
        elif fates[attempt["id"]] is not None:
            assert (fates[attempt["id"]], result["model"], result["degraded"]) == (
                "malformed",
                "streamed",
                True,
            )
    outcomes = [attempt["outcome"] for attempt in attempts]
    assert outcomes[-1] == result["status"]
    assert "succeeded" not in outcomes[:-1]
    if result["status"] != "succeeded":
        assert len(attempts) == 3
        assert result["error"]["category"] == attempts[-1]["category"]
        assert result.get("value") is None
    elif result["degraded"]:  # one event of a stream could not be read, and it says so
        words = text_for(prompt).split()
        assert result["value"].split() == [words[0], *words[2:]]
    else:
        assert result["value"] == text_for(prompt)


def order_of_attempts(site: Site) -> dict[str, list[str]]:
    """The ids of the attempts that the servers received, by prompt, in order."""
    found = defaultdict(list)
    for entry in site.entries():
        if entry["event"] == "received":
            found[entry["prompt"]].append(entry["attempt_id"])
    return found
