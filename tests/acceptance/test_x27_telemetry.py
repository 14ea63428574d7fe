"""X27: telemetry is filled in, its sums are those of the tasks, and the peak concurrency is right; in process and through Kafka."""

import asyncio
from typing import Any

import msgspec
import pytest

from streamer import Engine, Result, aggregate
from streamer.limits import Limit
from streamer.results import Usage
from streamer.tasks import Task, TaskBase
from streamer.testing.clock import run
from tests.kafka.rig import Rig

CALL = {"kind": "llm", "model": "simulated:x27?latency=0.3&output_tokens=6", "prompt": "four letters"}
FAILS = {
    "kind": "llm",
    "model": "simulated:x27-fails?latency=0.1&error_rate=1",
    "prompt": "?",
    "retry": {"max_attempts": 3, "initial_delay": 0.1, "backoff": "fixed"},
}
TASK = {"kind": "parallel", "require": "any", "concurrency": 4, "tasks": [*[CALL] * 8, FAILS]}
TASKS = [{"id": f"t{number}", **TASK} for number in range(3)]


SHORT = {"kind": "parallel", "tasks": [{**CALL, "model": "simulated:x27-short?latency=0.2"}] * 4}


def decoded(task: dict[str, Any]) -> TaskBase:
    return msgspec.convert(task, Task)


def judged(results: list[Result]) -> None:
    """Every task, and all of them together."""
    for result in results:
        assert result.succeeded
        assert (result.successes, result.failures) == (8, 1)
        assert (result.retries, result.peak_concurrency) == (2, 4)
        assert result.speed_up is not None
        assert 1 < result.speed_up <= 4.01
        assert result.usage == Usage(input_tokens=8 * 3, output_tokens=8 * 6)
        assert result.children[0].tokens_per_second <= 20.01
        assert sum(len(child.attempts) for child in result.each_child()) == 8 + 3
    totals = aggregate(results)
    assert (totals.results, totals.succeeded) == (len(results), len(results))
    assert totals.attempts == len(results) * 11
    assert totals.retries == sum(result.retries for result in results)
    assert totals.duration == pytest.approx(sum(result.duration for result in results))
    assert totals.usage == sum((result.usage for result in results if result.usage), Usage())
    assert totals.elapsed <= totals.duration + 0.01
    assert max(result.peak_concurrency for result in results) <= totals.peak_concurrency <= len(results) * 4


def test_x27_in_process() -> None:
    async def each() -> list[Result]:
        engine = Engine()
        return [await engine.run(decoded(task)) for task in TASKS]

    results = run(each())
    judged(results)
    assert [result.duration for result in results] == pytest.approx([0.6 + 0.5] * 3, abs=0.01)


def test_x27_the_peak_is_the_limit_that_was_set() -> None:
    async def peaks(limit: int) -> tuple[Any, int]:
        slots = Limit(limit)
        results = [result async for result in Engine(concurrency=slots).stream([decoded(SHORT)] * 4)]
        return aggregate(results).peak_concurrency, slots.peak

    for limit in (1, 2, 4):
        assert asyncio.run(peaks(limit)) == (4 * limit, limit)


@pytest.mark.broker
async def test_x27_through_kafka(broker: Any, topic_name: str) -> None:
    rig = Rig(broker.bootstrap_servers, topic_name)
    async with rig.worker():
        await rig.produce(TASKS)
        read = await rig.read(len(TASKS))
    judged([msgspec.convert(record.value, Result) for record in read])
