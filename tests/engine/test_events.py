"""What is told of a task while it runs, and to whom."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer import Pool, parallel, race
from streamer.engine import Engine
from streamer.events import AttemptEnded, AttemptStarted, Event, RetryScheduled, TaskEnded
from streamer.limits import Limit
from streamer.results import Status
from streamer.telemetry.measures import everything
from tests.engine.test_properties import COMMON, PLANS, World, lazy, settled
from tests.operators.doubles import Work, now, others
from tests.telemetry.test_measures import model

# --- whatever a task does


class Told:
    """The events of one task, judged as they come."""

    def __init__(self, lazy: bool) -> None:
        self.lazy = lazy  # the children of maps that are not kept
        self.events: list[Event] = []
        self.begun: dict[str, AttemptStarted] = {}
        self.ended: dict[str, AttemptEnded] = {}
        self.resumes: dict[str, float] = {}
        self.numbers: Counter[str] = Counter()

    def hear(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case AttemptStarted():
                assert event.attempt_id not in self.begun
                self.begun[event.attempt_id] = event
                number = int(event.attempt_id.removeprefix(f"t{event.path}#"))
                assert number > self.numbers[event.path]
                assert number == self.numbers[event.path] + 1 or self.lazy
                self.numbers[event.path] = number
                for path in [
                    path for path in self.resumes if event.path == path or event.path.startswith(f"{path}/")
                ]:
                    assert now() >= self.resumes.pop(path) - 1e-9
            case AttemptEnded():
                begun = self.begun[event.attempt.id]
                assert event.attempt.id not in self.ended
                assert (begun.path, begun.provider) == (event.path, event.attempt.provider)
                self.ended[event.attempt.id] = event
            case RetryScheduled():
                assert event.attempt >= 1
                for path in [path for path in self.resumes if path.startswith(event.path)]:
                    del self.resumes[path]  # a clock cut it short
                self.resumes[event.path] = now() + event.delay
            case TaskEnded():
                for attempt in everything(event.result):
                    assert self.ended[attempt.id].attempt is attempt
        assert event.result.task_id == "t" if isinstance(event, TaskEnded) else event.task_id == "t"


@settings(COMMON, max_examples=150)
@given(PLANS, st.none() | st.sampled_from([0, 0.25, 1, 2.5]))
async def test_events_tell_of_every_attempt_and_every_end_once_and_in_order(spec, cancelled_after):
    """An attempt begins before it ends, after its back-off, with the next number; a result comes once, and knows
    nothing that was not told; times never go back. Who is cancelled from outside has no result."""
    world, told, wrong = World(), Told(lazy(spec)), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
    engine = Engine(lambda _: race(world.make(spec)), slots=Limit(1), listener=told.hear)
    task = asyncio.ensure_future(engine.run(None, task_id="t"))
    if cancelled_after is not None:
        asyncio.get_running_loop().call_later(cancelled_after, task.cancel)
    await asyncio.wait((task,))
    await settled()
    assert wrong == []
    ends = [event for event in told.events if isinstance(event, TaskEnded)]
    assert [event.result for event in ends] == ([] if task.cancelled() else [task.result()])
    assert told.begun.keys() == told.ended.keys()
    times = [told.ended[begun].attempt.started_at for begun in told.begun]
    assert times == sorted(times)
    outlives_the_grace = "stubborn" in repr(spec) or "'cleanup': 2" in repr(spec)
    if ends and not outlives_the_grace:
        assert told.events[-1] is ends[0]
        if not lazy(spec):
            assert {attempt.id for attempt in everything(ends[0].result)} == told.begun.keys()


# --- who is told


async def test_whoever_subscribes_is_told_from_then_on():
    engine, seen, later = Engine(lambda _: parallel(model(1.0), model(1.0, fails=1).retry(2))), [], []
    engine.events.subscribe(seen.append)
    await engine.run(None)
    engine.events.subscribe(later.append)
    await engine.run(None)
    kinds = Counter(type(event) for event in seen)
    assert kinds == {AttemptStarted: 6, AttemptEnded: 6, RetryScheduled: 2, TaskEnded: 2}
    assert later == seen[8:]


async def test_who_has_unsubscribed_is_told_no_more_and_an_engine_without_listeners_tells_nobody():
    engine, seen = Engine(), []
    assert engine.listener is None
    engine.events.subscribe(seen.append).dispose()
    await engine.run(race(Work(1.0)))
    assert seen == []


async def test_the_events_complete_with_the_engine_which_may_be_used_again():
    heard, ends, seen = [], [], []
    engine = Engine(listener=heard.append)
    for _ in range(2):
        async with engine:
            engine.events.subscribe(seen.append, on_completed=lambda: ends.append(now()))
            await engine.run(race(Work(1.0)))
    assert (len(ends), len(seen), len(heard)) == (2, 2, 2)


async def test_an_async_listener_is_awaited_beside_the_work_and_one_that_raises_changes_nothing():
    wrong, done = [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context["message"]))

    async def listener(event):
        await asyncio.sleep(0.5)
        done.append(event)
        raise KeyError("mine")

    async with Engine(listener=listener) as engine:
        engine.events.subscribe(lambda _: 1 / 0)
        result = await engine.run(race(Work(2.0)))
    assert (result.status, result.duration) == (Status.SUCCEEDED, 2)
    assert [event.result for event in done] == [result]
    assert sorted(wrong) == ["An event listener raised", "An observer of events raised"]
    assert others() == set()


async def test_the_events_of_an_engine_tell_of_its_streams_and_pools_too():
    engine, seen = Engine(), []
    engine.events.subscribe(lambda event: seen.append(event.result.task_id))
    async for _ in engine.stream([race(Work(1.0)), race(Work(1.0))], concurrency=2):
        pass
    async with Pool(1, engine=engine) as pool:
        await pool.submit(Work(1.0), id="submitted")
    assert len(seen) == 3
    assert "submitted" in seen


@pytest.mark.parametrize(("id", "path"), [("t#1", ""), ("t/0/a~2#13", "/0/a~2"), ("t~2/b%23#1", "~2/b%23")])
def test_an_event_names_the_step_that_called(id, path):
    assert AttemptStarted("t", id, "openai", None).path == path
