"""Cancellation by id: one task ends as cancelled, and nobody else notices."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from streamer import parallel, retry, sequence
from streamer.engine import Engine
from streamer.limits import Limit
from streamer.results import Status
from tests.operators.doubles import Script, Stubborn, Work, others, passing


async def begun(engine: Engine, task_id: str = "t", **settings: Any) -> asyncio.Task[Any]:
    """A task that runs by now."""
    running = asyncio.ensure_future(engine.run(None, task_id=task_id, **settings))
    await asyncio.sleep(0.1)
    return running


async def test_a_task_is_cancelled_by_its_id() -> None:
    work = Work(10)
    engine = Engine(lambda _: work())
    running = await begun(engine)
    assert engine.cancel("t")
    result = await running
    assert (result.status, result.error.category, work.alive) == (Status.CANCELLED, "cancelled", 0)
    assert "by its id" in result.error.message
    assert not others()


async def test_an_unknown_id_and_one_that_has_ended_are_false() -> None:
    engine = Engine(lambda _: "value")
    assert not engine.cancel("t")
    assert (await engine.run(None, task_id="t")).succeeded
    assert not engine.cancel("t")
    assert not engine.running


async def test_all_tasks_of_one_id_are_cancelled_and_no_other() -> None:
    engine = Engine(lambda _: Work(10, "done")())
    twins = [await begun(engine), await begun(engine)]
    other = await begun(engine, "other")
    assert engine.cancel("t")
    assert engine.cancel("t"), "they have not ended yet"
    assert [(await twin).status for twin in twins] == [Status.CANCELLED] * 2
    assert (await other).value == "done"


async def test_what_was_finished_is_kept() -> None:
    engine = Engine(lambda _: sequence(Work(0.01, "first"), Work(10)))
    running = await begun(engine)
    engine.cancel("t")
    result = await running
    assert (result.status, result.value) == (Status.CANCELLED, ["first", None])
    assert [child.status for child in result.each_child()] == [Status.SUCCEEDED, Status.CANCELLED]


async def test_children_under_way_are_cancelled_and_awaited_within_the_grace() -> None:
    tidy, stubborn = Work(10, cleanup=0.2), Stubborn()
    engine = Engine(lambda _: parallel(tidy, stubborn), cancel_grace=0.5)
    running = await begun(engine)
    engine.cancel("t")
    result = await running
    assert (result.status, tidy.alive, engine.strays) == (Status.CANCELLED, 0, 1)
    stubborn.release.set()
    await asyncio.sleep(0.1)
    assert engine.strays == 0


async def test_code_that_swallows_it_changes_nothing() -> None:
    async def swallow() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "all the same"
        return "late"

    engine = Engine(lambda _: swallow())
    running = await begun(engine)
    engine.cancel("t")
    result = await running
    assert (result.status, result.value) == (Status.CANCELLED, "all the same")
    assert running.cancelling() == 0


async def test_a_task_may_cancel_itself_with_its_last_step() -> None:
    engine = Engine(lambda _: engine.cancel("t"))

    async def twice() -> list[Status]:
        return [(await engine.run(None, task_id="t")).status, (await engine.run(None, task_id="u")).status]

    assert await twice() == [Status.CANCELLED, Status.SUCCEEDED]
    await asyncio.sleep(0)


async def test_a_cancellation_from_outside_at_the_same_time_goes_through() -> None:
    engine = Engine(lambda _: Work(10)())
    running = await begun(engine)
    engine.cancel("t")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not engine.running


async def test_a_back_off_is_cancelled_and_its_slot_is_left_to_whom_it_was_lent() -> None:
    slots = Limit(1)
    engine = Engine(lambda _: retry(3, initial_delay=60)(Script(passing())), slots=slots)
    assert slots.take()
    running = await begun(engine)
    assert slots.active == 0
    engine.cancel("t")
    assert (await running).status is Status.CANCELLED
    assert (slots.active, slots.kept) == (0, 1)


async def test_a_deadline_is_no_hindrance() -> None:
    engine = Engine(lambda _: Work(10)())
    running = await begun(engine, deadline=4e9)
    engine.cancel("t")
    assert (await running).status is Status.CANCELLED


async def test_an_unwanted_task_is_answered_without_a_call() -> None:
    work = Work()
    engine = Engine(lambda _: work())
    engine.unwanted = {"t"}
    assert (await engine.run(None, task_id="t")).status is Status.CANCELLED
    assert work.began == []
    assert (await engine.run(None, task_id="u")).succeeded


async def test_a_task_that_waits_for_a_slot_of_the_engine_is_cancelled_by_its_id() -> None:
    work = Work(10, "done")
    engine = Engine(lambda _: work(), concurrency=1)
    first, second, third = [await begun(engine, task_id) for task_id in ("a", "b", "c")]
    assert engine.cancel("b")
    result = await second
    assert (result.status, result.task_id, len(work.began)) == (Status.CANCELLED, "b", 1)
    assert "by its id" in result.error.message
    assert not engine.cancel("b")
    assert [(await other).value for other in (first, third)] == ["done", "done"]
    assert (engine.slots.active, engine.running) == (0, {})


async def test_a_deadline_ends_the_wait_for_a_slot_of_the_engine() -> None:
    engine = Engine(lambda _: Work(10)(), concurrency=1)
    first = await begun(engine)
    late = await engine.run(None, deadline=time.time() + 1)
    assert (late.status, late.error.category, late.attempts) == (Status.TIMED_OUT, "deadline", ())
    assert 0.9 < late.queue_time < 1.1
    first.cancel()
    await asyncio.wait((first,))
    assert (engine.slots.active, engine.slots.waiters.alive) == (0, 0)


async def test_a_program_that_cancels_who_waits_for_a_slot_gets_no_result() -> None:
    engine = Engine(lambda _: Work(10)(), concurrency=1)
    first, second = await begun(engine), await begun(engine, "second")
    engine.cancel("second")
    second.cancel()
    await asyncio.wait((second,))
    assert second.cancelled()
    assert engine.cancel("t")
    assert (await first).status is Status.CANCELLED
    assert engine.slots.active == 0
