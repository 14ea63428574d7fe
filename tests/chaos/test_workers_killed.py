"""Workers that end, politely or not: judged by what the model servers saw and a reader of the output."""

import asyncio
import random
from collections import Counter

import pytest

from tests.chaos.processes import DELIVERIES, ROUNDS, Site, questions

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(600 + 60 * ROUNDS)]

LATENCY = ("--latency", "lognormal(0.3,0.5)", "--seed", "7")


async def test_sigterm_and_a_restart_repeat_no_call(site: Site):
    """Every id once, every call once, though the worker was told to end in the middle, twice."""
    url, _ = await site.model_server(*LATENCY)
    worker = await site.worker(url)
    await site.rig.produce(questions(2_000))
    for part in (400, 1_000):
        await site.rig.read(part)
        assert await worker.terminate() == 0
        worker = await site.worker(url)
    results = await site.rig.read(2_000, settle=1.0)
    await site.rig.all_committed()
    assert await worker.terminate() == 0
    assert Counter(result.value["task_id"] for result in results) == Counter(f"t{n}" for n in range(2_000))
    assert site.seen.repeated == set()


def several_steps(count: int) -> list[dict]:
    """Tasks of which every third has three paid steps, one after another, and the others one."""
    tasks = questions(count)
    for number in range(0, count, 3):
        steps = [{**tasks[number], "prompt": f"question {number} step {step}"} for step in range(3)]
        for step in steps:
            del step["id"]
        tasks[number] = {"id": f"t{number}", "kind": "sequence", "tasks": steps}
    return tasks


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_kill_nine_loses_nothing_and_repeats_only_what_was_in_flight(site: Site, delivery):
    """Two workers, killed in turn: what is called again was under way, or answered within 500 ms of the kill.

    So are the steps of tasks that have several; and exactly-once, no result is seen twice.
    """
    chance = random.Random(11)
    count = min(10_000, 1_000 + 500 * ROUNDS)
    servers = [await site.model_server(*LATENCY) for _ in range(2)]
    workers = [await site.worker(url, delivery=delivery) for url, _ in servers]
    await site.rig.produce(several_steps(count))
    kills = []
    for number in range(ROUNDS):
        await asyncio.sleep(chance.uniform(1, 3))
        victim = number % 2
        kills.append((servers[victim][1], await workers[victim].kill()))
        workers[victim] = await site.worker(servers[victim][0], delivery=delivery)
    results = await site.rig.read(count, seconds=60 + 60 * ROUNDS, settle=2.0, distinct=True)
    await site.rig.all_committed()
    for worker in workers:
        assert await worker.terminate() == 0
    seen = site.seen
    ids = Counter(result.value["task_id"] for result in results)
    said = sum(result.value.get("possible_duplicate_calls") or 0 for result in results)
    again = sum(len(times) - 1 for times in seen.received.values())
    print(
        f"{delivery}: {count} tasks, {ROUNDS} kills: {len(results)} results, {again} calls made again, "
        f"{sum(len(t) - 1 for t in seen.answered.values() if len(t) > 1)} of them had been answered; "
        f"the results say {said} at most"
    )
    assert set(ids) == {f"t{number}" for number in range(count)}
    assert {result.value["status"] for result in results} == {"succeeded"}
    assert delivery != "exactly-once" or ids.total() == count
    assert seen.paid_again_without_excuse(kills) == []
