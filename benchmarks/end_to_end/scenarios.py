"""What is measured: which tasks, how many at once, answered by what."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from streamer.providers.simulated import Simulated
from streamer.tasks import Llm, Retry

SIMULATED = "bench?latency=lognormal(0.3,0.7)&seed=7"


class Scenario(NamedTuple):
    """``answer_by`` is what the peers without an engine do, ``topology`` what Streamer runs, for the same results."""

    name: str
    what: str
    messages: int
    concurrency: int
    answer_by: str
    topology: str
    task: Callable[[int], Llm]
    latencies: Callable[[int], list[float]] | None = None
    environment: dict[str, str] = {}  # noqa: RUF012 - of all peers alike; nobody changes it


def task_id(index: int) -> str:
    return f"task-{index:07d}"


def prompt(index: int) -> str:
    return f"Question {index}: what is the capital of the country whose name comes {index % 193 + 1}th?"


def asked(**fields: Any) -> Callable[[int], Llm]:
    return lambda index: Llm(id=task_id(index), prompt=prompt(index), **fields)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "instant",
            "one llm on echo:, no retry and no timeout",
            50_000,
            100,
            "once",
            "topologies/tasks.py",
            asked(model="echo:"),
        ),
        Scenario(
            "instant_guarded",
            "the same with a timeout and a retry",
            50_000,
            100,
            "guarded",
            "topologies/tasks.py",
            asked(model="echo:", timeout=10.0, retry=Retry(max_attempts=3)),
        ),
        Scenario(
            "answers",
            "a race of two, each retried under a timeout, with a fallback; all of them instant",
            20_000,
            100,
            "answers",
            "topologies/answers.py",
            asked(),
            environment={
                "QUICK_MODEL": "echo:quick",
                "OTHER_MODEL": "echo:other",
                "CAREFUL_MODEL": "echo:careful",
                "STREAMER_ORDERING": "none",
            },
        ),
        Scenario(
            "lognormal",
            "one llm whose latencies are lognormal, median 300 ms, sigma 0.7; 500 in flight",
            20_000,
            500,
            "once",
            "topologies/tasks.py",
            asked(model=f"simulated:{SIMULATED}"),
            lambda count: Simulated.parse(SIMULATED).latencies(count),
        ),
    )
}


def payloads(scenario: Scenario, count: int) -> list[bytes]:
    """The input's values, in order."""
    encode = msgspec.json.Encoder().encode
    return [encode(scenario.task(index)) for index in range(count)]


def ideal(latencies: list[float], machines: int) -> list[float]:
    """When each call ends under a perfect list scheduler: the next begins when a machine is free. Sorted."""
    free: list[float] = []
    ends = []
    for latency in latencies:
        began = heapq.heappop(free) if len(free) == machines else 0.0
        heapq.heappush(free, began + latency)
        ends.append(began + latency)
    ends.sort()
    return ends
