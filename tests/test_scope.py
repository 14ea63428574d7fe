"""The scope: what a task has started, its run slot while it waits, and what outlives its cancellation."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from streamer import fallback, map, parallel, race, retry, sequence, timeout
from streamer.engine import Engine
from streamer.errors import CallFailed, Category, TimedOut
from streamer.limits import Limit
from streamer.operand import as_single
from streamer.operators import concurrent_map
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry, Target
from streamer.results import Result, Status
from streamer.scope import Scope
from streamer.single import Single
from tests.operators.doubles import Script, Stubborn, Work, now, others, passing

pytestmark = pytest.mark.virtual_time


def model(function: Callable[..., Any], **settings: Any) -> Target:
    return Registry().declare(lambda _: function(), {"name": "model", **settings})


class Panic(BaseException):
    """As native extensions raise it: no Exception, so that nobody catches it."""


def told_to_wait(seconds: float, value: Any = "waited") -> Script:
    return Script(CallFailed(Category.RATE_LIMIT, "Slow down.", retry_after=seconds), value)


def planned(plan: Callable[[], Any]) -> Any:
    made = plan()
    return as_single(made) if callable(made) else made


class Line:
    """Plans run one after another or side by side in run slots, as a worker runs them; results with their instants."""

    def __init__(self, *plans: Callable[[], Any], slots: int = 1, grace: float = 1.0) -> None:
        self.slots = Limit(slots)
        self.engine = Engine(planned, slots=self.slots, cancel_grace=grace)
        self.results: dict[str, tuple[float, Result]] = {}
        self.completed = asyncio.get_running_loop().create_future()
        names = [(chr(ord("a") + index), plan) for index, plan in enumerate(plans)]
        self.subscription = concurrent_map(self.answer, self.slots)(names).subscribe(
            self.take, self.completed.set_exception, lambda: self.completed.set_result(now())
        )

    async def answer(self, item: tuple[str, Callable[[], Any]]) -> tuple[str, Result]:
        name, plan = item
        return name, await self.engine.run(plan, task_id=name)

    def take(self, item: tuple[str, Result]) -> None:
        self.results[item[0]] = (now(), item[1])

    @property
    def times(self) -> dict[str, float]:
        return {name: at for name, (at, _) in self.results.items()}

    @property
    def statuses(self) -> dict[str, str]:
        return {name: str(result.status) for name, (_, result) in self.results.items()}

    async def done(self) -> float:
        ended: float = await self.completed
        assert self.slots.active == 0
        assert not self.slots.waiters
        assert self.slots.kept == 0
        assert self.slots.peak <= self.slots.limit
        return ended


class Busy:
    """A resource of so many places: more at once is an error of whoever lets them."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def work(self, seconds: float, value: Any = "worked") -> Callable[[], Any]:
        async def run() -> Any:
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.now -= 1
            return value

        return run


class TestBackOff:
    async def test_a_task_that_was_told_to_wait_holds_up_nobody(self):
        """With one slot: the second task runs meanwhile, the first goes on where it was."""
        waiting = told_to_wait(60)
        line = Line(lambda: model(waiting)("x").retry(3), lambda: Work(5, "quick"))
        assert await line.done() == 60
        assert line.times == {"b": 5, "a": 60}
        assert waiting.waits == [60]

    async def test_who_comes_back_waits_for_one_slot_behind_those_before_it(self):
        """First come, first served: the one that had lent its slot is next, before new items."""
        line = Line(
            lambda: model(told_to_wait(3))("x").retry(2),
            lambda: Work(10, "long"),
            lambda: Work(1, "short"),
        )
        assert await line.done() == 11
        assert line.times == {"b": 10, "a": 10, "c": 11}

    @pytest.mark.parametrize(
        "make",
        [
            lambda work: model(work)("x"),
            lambda work: work,
            lambda work: FunctionTarget(work.__call__, "f")(),
            lambda work: timeout(500)(work),
            lambda work: parallel(work),
            lambda work: Single(lambda step: model(work)("x").at(step)).flat_map(lambda value: lambda: value),
        ],
        ids=["call", "callable", "function", "timeout", "parallel", "flat_map"],
    )
    async def test_whatever_is_retried_begins_again_with_the_slot_in_hand(self, make):
        busy = Busy()
        script = Script(passing(), passing())

        async def fails_twice() -> Any:
            if len(script.began) < 2:
                return await script()
            return await busy.work(5)()

        line = Line(
            lambda: retry(3, initial_delay=1)(make(fails_twice)),
            *(busy.work(7) for _ in range(5)),
        )
        await line.done()
        assert busy.most == 1
        assert set(line.statuses.values()) == {"succeeded"}
        assert line.slots.peak == 1

    async def test_the_slot_is_kept_while_a_sibling_works(self):
        """It is lent only when all that the task does is wait."""
        line = Line(
            lambda: race(model(told_to_wait(4))("x").retry(2), model(Work(6, "w"))("x")),
            lambda: Work(1, "other"),
        )
        assert await line.done() == 5
        assert line.times == {"a": 4, "b": 5}

    async def test_the_slot_is_lent_when_the_last_sibling_falls_asleep_or_ends(self):
        line = Line(
            lambda: parallel(
                model(told_to_wait(10))("x").retry(2),
                model(told_to_wait(20))("x").retry(2),
                model(Work(3, "w"))("x"),
            ),
            lambda: Work(1, "other"),
            lambda: Work(2, "third"),
        )
        assert await line.done() == 20
        assert line.times == {"b": 4, "c": 6, "a": 20}

    @pytest.mark.parametrize("wrap", [lambda work: work, lambda work: model(work)("x"), FunctionTarget])
    async def test_it_is_lent_when_the_last_that_worked_has_ended(self, wrap):
        worker = wrap(Work(3, "w")) if wrap is not FunctionTarget else FunctionTarget(Work(3).__call__, "f")()
        line = Line(lambda: parallel(model(told_to_wait(10))("x").retry(2), worker), lambda: Work(1, "other"))
        assert await line.done() == 10
        assert line.times == {"b": 4, "a": 10}

    async def test_several_children_that_wake_at_once_share_one_slot(self):
        """They wait for one slot all together, not for one each: else the second would wait for ever."""
        calls = [told_to_wait(5, n) for n in range(4)]
        line = Line(
            lambda: parallel(*(model(call)("x").retry(2) for call in calls)), lambda: Work(8, "other")
        )
        assert await line.done() == 8
        assert line.results["a"][1].value == [0, 1, 2, 3]
        assert line.times == {"b": 8, "a": 8}

    async def test_a_sibling_that_begins_while_the_slot_is_lent_reclaims_it(self):
        busy = Busy()
        line = Line(
            lambda: parallel(
                model(told_to_wait(30))("x").retry(2),
                sequence(model(busy.work(1))("x"), model(busy.work(1))("x"), busy.work(1)),
                concurrency=2,
            ),
            busy.work(9),
            busy.work(9),
        )
        await line.done()
        assert busy.most == 1

    @pytest.mark.parametrize("which", ["awaits", "returns", "gathers"])
    async def test_a_function_that_waits_for_calls_of_its_own_lends_the_slot(self, which):
        async def awaits() -> Any:
            return await model(told_to_wait(60))("x").retry(2)

        async def returns() -> Any:
            return model(told_to_wait(60))("x").retry(2)

        async def gathers() -> Any:
            return await asyncio.gather(*(model(told_to_wait(60))("x").retry(2) for _ in range(3)))

        line = Line(
            {"awaits": awaits, "returns": returns, "gathers": gathers}[which], lambda: Work(5, "quick")
        )
        assert await line.done() == 60
        assert line.times == {"b": 5, "a": 60}

    async def test_a_function_goes_on_with_the_slot_in_hand(self):
        busy = Busy()

        async def careful() -> Any:
            waited = await model(told_to_wait(3))("x").retry(2)
            with pytest.raises(CallFailed):
                await model(Script(passing(), passing()))("x").retry(2, initial_delay=3)
            await busy.work(5)()
            return waited

        line = Line(careful, *(busy.work(4) for _ in range(4)))
        await line.done()
        assert busy.most == 1
        assert line.results["a"][1].value == "waited"

    async def test_a_limited_function_keeps_the_slot_through_its_own_waits(self):
        """Who holds a slot that others wait for must not wait for a run slot: that could be for ever."""
        target = FunctionTarget(
            lambda: model(told_to_wait(5))("x").retry(2), "f", run_in="loop", concurrency=1
        )

        async def nested() -> Any:
            return await model(told_to_wait(5))("x").retry(2)

        limited = FunctionTarget(nested, "g", concurrency=1)
        line = Line(*(limited for _ in range(3)), *(target for _ in range(3)), slots=2)
        await line.done()
        assert set(line.statuses.values()) == {"succeeded"}

    async def test_cancelled_while_it_waits_for_its_slot_again(self):
        line = Line(lambda: timeout(5)(model(told_to_wait(3))("x").retry(2)), lambda: Work(10, "long"))
        await line.done()
        assert line.times == {"a": 5, "b": 10}
        assert line.statuses["a"] == "timed_out"

    async def test_cancelled_in_its_sleep(self):
        line = Line(lambda: timeout(5)(model(told_to_wait(30))("x").retry(2)), lambda: Work(2, "short"))
        await line.done()
        assert line.times == {"b": 2, "a": 5}

    async def test_disposed_of_while_it_sleeps_the_slot_is_not_given_twice(self):
        line = Line(lambda: model(told_to_wait(30))("x").retry(2), lambda: Work(60, "long"))
        await asyncio.sleep(10)
        assert line.slots.active == 1
        line.subscription.dispose()
        await asyncio.sleep(1)
        assert (line.slots.active, line.slots.kept, others()) == (0, 0, set())

    async def test_with_the_deadline_before_the_next_attempt_it_does_not_wait_at_all(self):
        result = await Engine(lambda _: model(told_to_wait(60))("x").retry(2)).run(
            None, deadline=in_seconds(30)
        )
        assert (result.status, result.error.category) == (Status.TIMED_OUT, Category.DEADLINE)
        assert result.duration == 0

    async def test_the_same_by_the_deadline_of_a_child(self):
        from datetime import UTC, datetime

        from streamer.operators.deadline import deadline

        at = datetime.fromtimestamp(in_seconds(30), UTC)
        plan = fallback(deadline(at)(model(told_to_wait(60))("x").retry(2)), lambda: "other", on=["deadline"])
        result = await Engine(lambda _: plan).run(None)
        assert (result.value, result.duration) == ("other", 0)
        assert result.children[0].status is Status.TIMED_OUT


def in_seconds(seconds: float) -> float:
    import time

    return time.time() + seconds


class TestStrays:
    async def test_what_will_not_end_is_left_after_the_grace_and_keeps_its_slot(self):
        stubborn = Stubborn()
        line = Line(lambda: timeout(5)(stubborn), lambda: Work(1, "next"))
        await asyncio.sleep(100)
        assert line.times == {"a": 6}
        assert line.statuses == {"a": "timed_out"}
        assert (line.engine.strays, line.slots.active) == (1, 1)
        stubborn.release.set()
        assert await line.done() == 101
        assert line.times == {"a": 6, "b": 101}
        assert line.engine.strays == 0

    async def test_an_outer_grace_is_not_added_to_an_inner_one(self):
        stubborn = Stubborn()
        result = await Engine(lambda _: timeout(5)(race(parallel(timeout(50)(stubborn)), Work(60)))).run(None)
        assert result.duration == 6
        stubborn.release.set()

    async def test_a_loser_that_will_not_end(self):
        """The winner is known at 1 s, the result is out a grace later, the slot stays with the loser."""
        stubborn = Stubborn()
        line = Line(lambda: race(stubborn, Work(1, "won")), lambda: Work(1, "next"))
        await asyncio.sleep(10)
        assert line.times == {"a": 2}
        result = line.results["a"][1]
        assert [child.status for child in result.children] == [Status.CANCELLED, Status.SUCCEEDED]
        stubborn.release.set()
        await line.done()

    async def test_the_grace_is_a_setting(self):
        stubborn = Stubborn()
        line = Line(lambda: timeout(5)(stubborn), grace=3)
        await asyncio.sleep(10)
        assert line.times == {"a": 8}
        stubborn.release.set()
        await line.done()

    @pytest.mark.parametrize("call", [True, False])
    async def test_a_stray_is_not_lent_away_by_a_later_back_off(self, call):
        """The back-off of the second attempt holds no slot, but the first attempt still does."""
        busy = Busy()
        stubborn = Stubborn()
        plans = [model(stubborn)("x") if call else stubborn, told_to_wait(20)]
        line = Line(
            lambda: sequence(timeout(2)(plans[0]), model(plans[1])("x").retry(2), on_error="continue"),
            busy.work(1),
        )
        await asyncio.sleep(10)
        assert busy.most == 0
        stubborn.release.set()
        await line.done()
        assert line.times["b"] == 11

    async def test_a_stray_begins_no_call_any_more(self):
        called = Work(0, "paid")
        released = asyncio.Event()

        async def stubborn() -> Any:
            while not released.is_set():
                with suppress(asyncio.CancelledError):
                    await released.wait()
            return await model(called)("x")

        result = await Engine(lambda _: timeout(5)(stubborn)).run(None)
        assert result.status is Status.TIMED_OUT
        released.set()
        await asyncio.sleep(1)
        assert (called.began, others()) == ([], set())

    async def test_a_cancelled_function_that_swallows_it_starts_nothing(self):
        called = Work(0, "paid")

        async def swallows() -> Any:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return await model(called)("x")

        result = await Engine(lambda _: timeout(5)(swallows)).run(None)
        assert (result.status, called.began, others()) == (Status.TIMED_OUT, [], set())

    @pytest.mark.parametrize(
        "wrap",
        [
            fallback,
            sequence,
            lambda *c: retry(3, initial_delay=0.1)(c[0]),
            lambda *c: fallback(retry(3, initial_delay=0.1)(c[0]), c[1]),
            lambda *c: retry(3, initial_delay=0.1, retry_if_result=lambda _: True)(c[0]),
            lambda *c: as_single(c[0]).flat_map(lambda _: c[1]),
            lambda *c: as_single(c[0]).map(lambda _: c[1].began.append(now())),
            lambda *c: parallel(as_single(c[0]).flat_map(lambda _: c[1])),
        ],
    )
    @pytest.mark.parametrize("answer", [ConnectionError("cut"), ""], ids=["fails", "answers"])
    @pytest.mark.parametrize("how", ["timeout", "by id", "from outside"])
    async def test_a_swallowed_cancellation_goes_on_to_nothing(self, wrap, answer, how):
        """Whatever the code that swallowed it comes to: nothing more is begun, and nothing has succeeded."""
        second = Work(0, "paid")

        class Swallows(Work):
            async def __call__(self) -> Any:
                self.began.append(now())
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(60)
                if answer:
                    raise answer
                return answer

        first = Swallows()
        plan = wrap(first, second)
        engine = Engine(lambda _: timeout(5)(plan) if how == "timeout" else plan)
        running = asyncio.ensure_future(engine.run(None, task_id="t"))
        await asyncio.sleep(1)
        if how == "by id":
            assert engine.cancel("t")
        if how == "from outside":
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        else:
            assert (await running).status == ("timed_out" if how == "timeout" else "cancelled")
        await asyncio.sleep(10)
        assert (len(first.began), second.began, others()) == (1, [], set())

    async def test_what_a_function_left_behind_ends_with_its_task(self):
        """A Single that it subscribed to and forgot is cancelled and awaited."""
        forgotten = Work(60, cleanup=0.5)

        async def careless() -> Any:
            model(forgotten)("x").subscribe()
            await asyncio.sleep(1)
            return "done"

        result = await Engine(lambda _: careless()).run(None)
        assert (result.value, forgotten.cancelled, forgotten.alive, others()) == ("done", 1, 0, set())
        assert result.duration == 1.5


class TestThreads:
    """Real threads; they block until the test lets them go, and time goes on meanwhile."""

    def blocking(self, **settings: Any) -> tuple[threading.Event, FunctionTarget]:
        gate = threading.Event()
        return gate, FunctionTarget(lambda: gate.wait(20) and "let go", "block", **settings)

    async def ended(self, target: FunctionTarget) -> None:
        while target.slots.active:
            await asyncio.sleep(0.01)

    async def test_a_thread_that_cannot_be_cancelled_keeps_its_slots_and_is_counted(self):
        gate, target = self.blocking(concurrency=1)
        line = Line(lambda: target().timeout(5), lambda: Work(1, "next"))
        await asyncio.sleep(30)
        assert line.times == {"a": 6}
        assert (line.engine.strays, line.slots.active, target.slots.active) == (1, 1, 1)
        gate.set()
        await line.done()
        assert (line.engine.strays, target.slots.active) == (0, 0)
        assert line.statuses == {"a": "timed_out", "b": "succeeded"}

    async def test_one_that_ends_within_the_grace_is_awaited(self):
        gate, target = self.blocking(concurrency=1)
        asyncio.get_running_loop().call_later(5.5, gate.set)
        line = Line(lambda: target().timeout(5))
        await line.done()
        assert 5.5 <= line.times["a"] < 6
        assert (line.engine.strays, target.slots.active) == (0, 0)

    async def test_a_back_off_does_not_lend_the_slot_that_a_thread_holds(self):
        gate, target = self.blocking()
        line = Line(lambda: target().timeout(2).retry(2, initial_delay=10), lambda: Work(1, "next"))
        await asyncio.sleep(5)
        assert line.slots.active == 1
        assert line.results == {}
        gate.set()
        await line.done()
        assert line.times["b"] < line.times["a"]
        assert line.results["a"][1].value == "let go"

    async def test_cancelled_while_it_waits_for_a_thread_of_the_function(self):
        gate, target = self.blocking(concurrency=1)
        first = asyncio.ensure_future(Engine(lambda _: target()).run(None))
        await asyncio.sleep(1)
        result = await Engine(lambda _: timeout(5)(fallback(target()))).run(None)
        assert (result.status, result.children[0].attempts) == (Status.TIMED_OUT, ())
        gate.set()
        assert (await first).value == "let go"
        assert target.slots.active == 0

    async def test_of_a_loser_the_result_is_out_after_the_grace(self):
        gate, target = self.blocking()
        line = Line(lambda: race(target(), Work(1, "won")))
        await asyncio.sleep(10)
        assert line.times == {"a": 2}
        gate.set()
        await line.done()

    async def test_cancelled_from_outside_it_does_not_hold_up_who_cancels(self):
        gate, target = self.blocking()
        slots = Limit(1)
        assert slots.take()
        engine = Engine(lambda _: target(), slots=slots)
        task = asyncio.ensure_future(engine.run(None))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert now() == 2
        assert (slots.kept, slots.active, engine.strays) == (1, 1, 1)
        gate.set()
        await self.ended(target)
        await asyncio.sleep(0.1)
        assert (slots.active, engine.strays) == (0, 0)

    async def test_an_awaitable_from_a_thread_is_awaited_in_the_functions_slot(self):
        busy = Busy()
        target = FunctionTarget(lambda: busy.work(1)(), "f", concurrency=2)
        assert await parallel(*(target() for _ in range(6))) == ["worked"] * 6
        assert busy.most == 2

    @pytest.mark.parametrize(
        ("error", "category", "name"),
        [
            (StopIteration(1), "internal", "StreamerError"),
            (SystemExit(3), "internal", "StreamerError"),
            (KeyboardInterrupt(), "internal", "StreamerError"),
            (asyncio.CancelledError("mine"), "cancelled", "Cancelled"),
            (ConnectionResetError("cut"), "network", "ConnectionResetError"),
            (ValueError("no"), "internal", "ValueError"),
        ],
    )
    async def test_nothing_that_a_thread_raises_stops_the_loop_or_is_lost(self, error, category, name):
        def fails() -> None:
            raise error

        target = FunctionTarget(fails, "fails", concurrency=1)
        result = await Engine(lambda _: target()).run(None)
        assert (result.error.category, result.error.type) == (category, name)
        assert target.slots.active == 0

    @pytest.mark.parametrize("error", [SystemExit(3), Panic("native")])
    @pytest.mark.parametrize(
        "around",
        [
            lambda target: target(),
            lambda target: target().timeout(5),
            lambda target: timeout(5)(parallel(target(), target())),
            lambda target: target().retry(2),
            lambda target: parallel(target(), target()),
            lambda target: race(target(), target()),
            lambda target: map(lambda _: target(), [1]),
        ],
        ids=["alone", "clocked", "timeout", "retry", "parallel", "race", "map"],
    )
    async def test_nothing_that_an_async_function_raises_stops_the_loop(self, error, around):
        async def fails() -> None:
            await asyncio.sleep(0)
            raise error

        target = FunctionTarget(fails, "fails", concurrency=2)
        result = await Engine(lambda _: around(target)).run(None)
        assert (result.status, result.error.category) == ("failed", "internal")
        assert type(error).__name__ in result.error.message
        assert target.slots.active == 0

    @pytest.mark.parametrize("deadline", [None, 60.0])
    async def test_nothing_that_a_topologys_own_function_raises_stops_the_loop(self, deadline):
        def answer(_: Any) -> None:
            raise SystemExit(3)

        at = None if deadline is None else time.time() + deadline
        result = await Engine(answer).run(None, deadline=at)
        assert (result.status, result.error.message) == ("failed", "It raised SystemExit(3).")


class TestCancelling:
    async def test_twice_from_outside_awaits_one_grace(self):
        scope, work = Scope("t"), Work(60, cleanup=0.7)
        task = scope.start(work())
        await asyncio.sleep(1)
        stopping = asyncio.ensure_future(scope.cancel([task]))
        await asyncio.sleep(0.2)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert (work.alive, scope.tasks) == (0, set())

    async def test_closing_does_not_interrupt_what_is_cleaning_up(self):
        scope, work = Scope("t"), Work(60, cleanup=0.7)
        task = scope.start(work())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.sleep(0.1)
        await scope.close()
        assert (work.cancelled, work.alive) == (1, 0)
        assert now() == pytest.approx(1.7)

    @pytest.mark.parametrize("seconds", [0, -1])
    async def test_bounded_by_nothing_starts_nothing(self, seconds):
        scope, work = Scope("t"), Work(1)
        with pytest.raises(TimedOut):
            await scope.bounded(work(), seconds, TimedOut("late"))
        assert (work.began, scope.tasks) == ([], set())

    async def test_bounded_returns_and_raises_what_the_work_does(self):
        scope = Scope("t")
        assert await scope.bounded(Work(1, "value")(), 2, TimedOut("late")) == "value"
        with pytest.raises(ValueError, match="no"):
            await scope.bounded(Work(1, error=ValueError("no"))(), 2, TimedOut("late"))

    async def test_a_listener_that_raises_changes_nothing(self):
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

        def listener(event: object) -> None:
            raise RuntimeError("listener")

        result = await Engine(lambda _: model(Work(1, "value"))("x"), listener=listener).run(None)
        assert result.value == "value"
        assert {str(context["exception"]) for context in told} == {"listener"}
