"""Cancellation by id over ``NAME.control``: a task's result is ``cancelled`` wherever it is, and nothing else changes."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from streamer.kafka.control import REMEMBERED, REMEMBERED_FOR, Cancelled, Control
from tests.kafka.rig import Rig


class Topics:
    """What of a consumer is asked before anything is read."""


def control(warnings: list[str], ended: list[str]) -> Control:
    return Control(Topics, "t.control", ended.append, warnings.append)  # type: ignore[arg-type]


def command(value: Any, offset: int = 0, headers: Any = ()) -> SimpleNamespace:
    data = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return SimpleNamespace(
        topic="t.control", partition=0, offset=offset, value=data, headers=headers, timestamp=1_000_000
    )


def test_ids_are_remembered_for_an_hour_after_they_were_cancelled() -> None:
    now = 1_000.0
    cancelled = Cancelled(lambda: now)
    assert not cancelled
    cancelled.add("a", 1_000.0)
    now += REMEMBERED_FOR - 1
    assert "a" in cancelled
    assert "b" not in cancelled
    now += 1
    assert "a" not in cancelled


def test_of_too_many_ids_the_latest_are_remembered() -> None:
    cancelled = Cancelled(lambda: 0.0)
    for number in range(REMEMBERED + 1):
        cancelled.add(f"t{number}", 0.0)
        cancelled.add("t0", 0.0)
    assert len(cancelled) == REMEMBERED
    assert "t0" in cancelled
    assert "t1" not in cancelled
    assert f"t{REMEMBERED}" in cancelled


async def test_what_is_no_command_is_one_warning_of_each_sort_and_never_fatal() -> None:
    warnings: list[str] = []
    ended: list[str] = []
    reader = control(warnings, ended)
    for value in (b"{", None, [], 5, {"cancel": 5}, b"\xff", b"[" * 100_000):
        reader.take(command(value))
    for value in ({"restart": "t"}, {}):
        reader.take(command(value))
    assert ended == []
    assert len(warnings) == 2
    assert '{"cancel": TASK_ID}' in warnings[0]
    assert '["restart"]' in warnings[1]
    reader.take(command({"cancel": "t", "reason": "ignored"}))
    reader.take(command(b"\x81\xa6cancel\xa1u", headers=[("content-type", b"application/msgpack")]))
    assert ended == ["t", "u"]


# --- on a broker


@pytest.fixture(params=["at-least-once", pytest.param("exactly-once", marks=pytest.mark.kafka)])
def rig(request, broker, topic_name) -> Rig:
    return Rig(broker.bootstrap_servers, topic_name, delivery=request.param)


async def cancel(rig: Rig, *task_ids: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=rig.bootstrap)
    await producer.start()
    try:
        for task_id in task_ids:
            await producer.send_and_wait(f"{rig.name}.control", json.dumps({"cancel": task_id}).encode())
    finally:
        await producer.stop()


def slow(task_id: str, seconds: float = 60.0, **fields: Any) -> dict[str, Any]:
    model = f"simulated:slow?latency={seconds:g}"
    return {"id": task_id, "kind": "llm", "model": model, "prompt": "?", **fields}


def busy(task_id: str) -> dict[str, Any]:
    """One that backs off for a minute."""
    retry = {"max_attempts": 2, "initial_delay": 60, "jitter": 0}
    return slow(task_id, 0, retry=retry) | {"model": "simulated:busy?latency=0&error_rate=1&error=overloaded"}


async def runs(worker: Any, count: int) -> None:
    async with asyncio.timeout(20):
        while len(worker.engine.running) < count:
            await asyncio.sleep(0.02)


def statuses(results: list[Any]) -> dict[str, str]:
    return {out.value["task_id"]: out.value["status"] for out in results}


@pytest.mark.broker
async def test_a_task_that_runs_is_cancelled_and_its_offset_is_finished(rig: Rig) -> None:
    async with rig.worker() as worker:
        await rig.produce([slow("a"), slow("b", 1.0)])
        await runs(worker, 2)
        await cancel(rig, "a", "nobody")
        results = await rig.read(2)
        assert statuses(results) == {"a": "cancelled", "b": "succeeded"}
        assert (
            next(out for out in results if out.value["task_id"] == "a").value["error"]["category"]
            == "cancelled"
        )
        await rig.all_committed()


@pytest.mark.broker
async def test_a_parked_task_and_those_behind_its_key_are_cancelled(rig: Rig) -> None:
    """What waits behind a key is answered in its turn, without a call."""
    async with rig.worker(ordering="key", park_after=1.0) as worker:
        await rig.produce([busy("a"), slow("b"), slow("c", 0.01)], key=b"k")
        async with asyncio.timeout(20):
            while not worker.source.dispatcher.parked:
                await asyncio.sleep(0.02)
        await cancel(rig, "b", "a")
        results = await rig.read(3)
        assert [(out.value["task_id"], out.value["status"]) for out in results] == [
            ("a", "cancelled"),
            ("b", "cancelled"),
            ("c", "succeeded"),
        ]
        assert results[1].value["attempts"] == []
        assert worker.source.dispatcher.parked == 0
        await rig.all_committed()


@pytest.mark.broker
async def test_a_task_that_waits_for_a_slot_is_answered_without_a_call(rig: Rig) -> None:
    async with rig.worker(concurrency=1) as worker:
        await rig.produce([slow("a")])
        await runs(worker, 1)
        await rig.produce([slow("b")])
        await cancel(rig, "b")
        async with asyncio.timeout(20):
            while "b" not in worker.control.cancelled:
                await asyncio.sleep(0.02)
        await cancel(rig, "a")
        results = await rig.read(2)
        assert statuses(results) == {"a": "cancelled", "b": "cancelled"}
        assert {out.value["task_id"]: len(out.value["attempts"]) for out in results} == {"a": 1, "b": 0}


@pytest.mark.kafka
async def test_a_worker_that_starts_later_knows_what_was_cancelled(rig: Rig, broker) -> None:
    async with rig.worker():
        await cancel(rig, "a")
    async with rig.worker():
        await rig.produce([slow("a")])
        assert statuses(await rig.read(1)) == {"a": "cancelled"}
    assert rig.warnings == []


@pytest.mark.broker
async def test_what_is_no_command_stops_nobody(rig: Rig) -> None:
    async with rig.worker() as worker:
        producer = AIOKafkaProducer(bootstrap_servers=rig.bootstrap)
        await producer.start()
        await producer.send_and_wait(f"{rig.name}.control", b"{")
        await producer.stop()
        await rig.produce([slow("a")])
        await runs(worker, 1)
        await cancel(rig, "a")
        assert statuses(await rig.read(1)) == {"a": "cancelled"}
    assert len(rig.warnings) == 1
