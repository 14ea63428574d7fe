"""Single: an Observable of one value, awaited, subscribed to, or combined."""

import asyncio
import gc
import threading

import pytest
import reactivex as rx
from reactivex import operators as ops
from reactivex.scheduler import NewThreadScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

from streamer import Single, fallback, llm, parallel, race, retry, sequence, single, timeout
from streamer.errors import CallFailed, Cancelled, Category, ChildrenFailed, TimedOut
from streamer.operand import as_single
from streamer.tasks import Llm
from tests.operators.doubles import Script, Work, cancelled_after, cancels_itself, now, others, passing

pytestmark = pytest.mark.virtual_time


class Seen:
    """What a subscriber was told."""

    def __init__(self, observable, scheduler=None):
        self.told = []
        self.end = asyncio.Event()
        self.subscription = observable.subscribe(
            self.told.append, self.error, self.completed, scheduler=scheduler
        )

    def error(self, error):
        self.told.append(error)
        self.end.set()

    def completed(self):
        self.told.append("completed")
        self.end.set()

    async def ended(self):
        await self.end.wait()
        return self.told


class TestOperands:
    """What operators take."""

    class Awaitable:
        def __await__(self):
            yield from asyncio.sleep(1).__await__()
            return "answer"

    @staticmethod
    async def tokens():
        for token in ("an", "swer"):
            await asyncio.sleep(0.5)
            yield token

    @staticmethod
    async def numbers():
        yield 1
        yield "2"

    @pytest.mark.parametrize(
        ("operand", "value"),
        [
            (lambda: "answer", "answer"),
            (Work(1, "answer"), "answer"),
            (lambda: TestOperands.Awaitable(), "answer"),
            (lambda: TestOperands.tokens(), "answer"),
            (lambda: TestOperands.numbers(), [1, "2"]),
            (lambda: as_single(lambda: "answer"), "answer"),
            (lambda: Llm(model="echo:", prompt="answer"), "answer"),
            (Llm(model="echo:", prompt="answer"), "answer"),
            (lambda: Work(1, as_single(lambda: "answer"))(), "answer"),
            (lambda: None, None),
        ],
    )
    async def test_are_seen_through_to_their_value(self, operand, value):
        assert await as_single(operand) == value
        assert await race(operand) == value

    def test_a_single_is_itself(self):
        one = as_single(lambda: 1)
        assert as_single(one) is one

    @pytest.mark.parametrize("combine", [race, fallback, parallel, sequence, retry(), timeout(1), as_single])
    def test_a_plain_observable_is_refused_with_the_way_in(self, combine):
        with pytest.raises(TypeError, match=r"single\(observable\)"):
            combine(rx.of(1))

    @pytest.mark.parametrize("combine", [race, fallback, parallel, sequence, retry(), timeout(1), as_single])
    def test_a_coroutine_object_is_refused_for_the_function(self, combine):
        """And not left behind, never awaited."""
        with pytest.raises(TypeError, match="pass the function instead"):
            combine(Work()())

    async def test_a_future_is_refused_too(self):
        with pytest.raises(TypeError, match="runs once"):
            race(asyncio.get_running_loop().create_future())

    @pytest.mark.parametrize("combine", [race, fallback, parallel, sequence, retry(), timeout(1), as_single])
    @pytest.mark.parametrize("operand", [None, 3, "text", [1]])
    def test_anything_else_is_named(self, combine, operand):
        with pytest.raises(TypeError, match=f"not {type(operand).__name__}"):
            combine(operand)

    @pytest.mark.parametrize("combine", [race, fallback, parallel, sequence])
    @pytest.mark.parametrize("several", [[lambda: 1], (lambda: 1,), {"a": lambda: 1}.values()])
    def test_several_in_one_are_refused_with_the_star(self, combine, several):
        """So they are given in most other libraries."""
        with pytest.raises(TypeError, match=r"given one by one: parallel\(\*tasks\)"):
            combine(several)

    @pytest.mark.parametrize("combine", [race, fallback, sequence])
    def test_names_are_for_parallel(self, combine):
        with pytest.raises(TypeError, match=r"parallel\(\{...\}\)"):
            combine({"a": lambda: 1})

    async def test_a_plain_observable_that_a_function_returns_is_refused(self):
        with pytest.raises(TypeError, match=r"single\(observable\)"):
            await as_single(lambda: rx.of(1))

    async def test_an_async_iterator_is_closed_when_cancelled(self):
        closed = []

        async def tokens():
            try:
                while True:
                    yield "token"
                    await asyncio.sleep(1)
            finally:
                closed.append(now())

        await cancelled_after(2.5, as_single(tokens))
        assert closed == [2.5]


class TestAwait:
    async def test_every_await_runs_it_anew(self):
        work = Work(1, "answer")
        one = as_single(work)
        assert [await one, await one] == ["answer"] * 2
        assert work.began == [0, 1]

    async def test_nothing_runs_before(self):
        work = Work()
        as_single(work).map(str).timeout(5).retry(3)
        await asyncio.sleep(1)
        assert work.began == []

    def test_a_script_needs_nothing_else(self):
        async def script():
            return await race(lambda: "a", lambda: "b")

        assert asyncio.run(script()) == "a"

    async def test_in_a_function_it_is_a_call_of_the_same_task(self):
        """So that what cancels the function cancels it."""
        work = Work(9)

        async def asks():
            return await as_single(work).map(str)

        with pytest.raises(TimedOut):
            await timeout(2)(asks)
        assert (work.cancelled, now()) == (1, 2)

    async def test_cancelled_error_of_user_code_is_a_failure(self):
        for one in (as_single(cancels_itself), as_single(lambda: 1).map(lambda _: cancels_itself())):
            with pytest.raises(Cancelled):
                await one


class TestSubscribe:
    async def test_emits_one_value_and_completes(self):
        assert await Seen(as_single(Work(1, "answer"))).ended() == ["answer", "completed"]

    async def test_or_errors(self):
        error = ValueError("mine")
        assert await Seen(as_single(Work(1, error=error))).ended() == [error]

    async def test_every_subscription_runs_it_anew(self):
        work = Work(1, "answer")
        one = as_single(work)
        await asyncio.gather(Seen(one).ended(), Seen(one).ended())
        assert len(work.began) == 2

    async def test_disposing_cancels(self):
        work = Work(9, cleanup=0.5)
        seen = Seen(as_single(work))
        await asyncio.sleep(1)
        seen.subscription.dispose()
        await asyncio.sleep(1)
        assert (seen.told, work.cancelled, work.alive) == ([], 1, 0)
        assert not others()

    async def test_disposing_at_once_begins_nothing(self):
        work = Work()
        Seen(as_single(work)).subscription.dispose()
        await asyncio.sleep(1)
        assert work.began == []

    async def test_disposing_afterwards_changes_nothing(self):
        seen = Seen(as_single(lambda: 1))
        await seen.ended()
        seen.subscription.dispose()
        assert seen.told == [1, "completed"]

    @pytest.mark.parametrize(
        "one", [as_single(cancels_itself), as_single(lambda: 1).map(lambda _: cancels_itself())]
    )
    async def test_cancelled_error_of_user_code_is_an_error(self, one):
        (error,) = await Seen(one).ended()
        assert isinstance(error, Cancelled)

    async def test_a_subscriber_that_raises_is_told_of(self):
        told = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

        def on_next(value):
            raise ValueError("subscriber")

        as_single(lambda: 1).subscribe(on_next)
        await asyncio.sleep(1)
        assert [str(error) for error in told] == ["subscriber"]

    async def test_a_single_of_a_single_is_disposed_of_with_it(self):
        work = Work(9)
        seen = Seen(as_single(lambda: as_single(work)))
        await asyncio.sleep(1)
        seen.subscription.dispose()
        await asyncio.sleep(1)
        assert work.cancelled == 1


class TestFluentNames:
    """Those of RxPY that would call again on another thread, or before the first has ended, are ours."""

    async def test_map(self):
        one = as_single(Work(1, 20)).map(lambda value: value + 1)
        assert isinstance(one, Single)
        assert await one == 21

    async def test_map_that_raises_fails(self):
        with pytest.raises(ZeroDivisionError):
            await as_single(lambda: 0).map(lambda value: 1 / value)

    @pytest.mark.parametrize(
        "mapper", [lambda v: as_single(lambda: v + 1), lambda v: Work(1, v + 1)(), lambda v: v + 1]
    )
    async def test_flat_map(self, mapper):
        assert await as_single(lambda: 20).flat_map(mapper) == 21

    async def test_timeout(self):
        work = Work(9)
        one = as_single(work).timeout(2)
        assert isinstance(one, Single)
        with pytest.raises(TimedOut):
            await one
        assert (work.cancelled, now()) == (1, 2)

    async def test_retry(self):
        script = Script(passing(), "second")
        one = as_single(script).retry(2, initial_delay=3)
        assert isinstance(one, Single)
        assert await one == "second"
        assert script.waits == [3]

    async def test_catch(self):
        assert await as_single(Work(error=passing())).catch(lambda: "other") == "other"

    async def test_amb(self):
        """The first success, where the stock one takes the first event."""
        assert await as_single(Work(1, error=passing())).amb(Work(2, "answer")) == "answer"

    async def test_result_never_errors(self):
        result = await as_single(Work(1, error=passing())).result()
        assert (result.status, result.error.category) == ("failed", Category.OVERLOADED)
        assert (await as_single(lambda: 1).result()).value == 1

    async def test_pipe_takes_ours(self):
        script = Script(passing(), "second")
        one = as_single(script).pipe(timeout(10), retry(2))
        assert isinstance(one, Single)
        assert await one == "second"


class TestStockOperators:
    """In .pipe they give a plain Observable."""

    async def test_apply(self):
        stream = as_single(Work(1, 20)).pipe(ops.map(lambda value: value + 1), ops.do_action(lambda _: None))
        assert not isinstance(stream, Single)
        assert await Seen(stream).ended() == [21, "completed"]

    async def test_merge_and_zip(self):
        one, two = as_single(Work(2, 1)), as_single(Work(1, 2))
        assert await Seen(rx.merge(one, two)).ended() == [2, 1, "completed"]
        assert await Seen(rx.zip(one, two)).ended() == [(1, 2), "completed"]

    async def test_take_disposes(self):
        """Of the rest, which is cancelled."""
        slow = Work(9)
        assert await Seen(rx.merge(as_single(slow), as_single(Work(1, 2))).pipe(ops.take(1))).ended() == [
            2,
            "completed",
        ]
        await asyncio.sleep(0)
        assert slow.cancelled == 1

    async def test_the_stock_chain_runs_on_the_loops_scheduler(self):
        """RxPY's own merge, amb, catch, retry and timeout, all on one thread; docs/rx.md says what ours do instead."""
        threads = set()
        late, loser = Work(60), Work(9, "slow")
        chain = rx.merge(
            as_single(Script(passing(), "second")).pipe(ops.retry(2)),
            as_single(late).pipe(ops.timeout(5), ops.catch(lambda error, _: rx.of("too late"))),
            as_single(loser).pipe(ops.amb(as_single(Work(3, "quick")))),
        ).pipe(ops.do_action(lambda _: threads.add(threading.get_ident())))
        seen = Seen(chain, AsyncIOScheduler(asyncio.get_running_loop()))
        assert await seen.ended() == ["second", "quick", "too late", "completed"]
        assert threads == {threading.get_ident()}
        await asyncio.sleep(0)
        assert (late.cancelled, loser.cancelled, others()) == (1, 1, set())

    async def test_share_runs_it_once(self):
        work = Work(1, "answer")
        stream = as_single(work).pipe(ops.share())
        await asyncio.gather(Seen(stream).ended(), Seen(stream).ended())
        assert len(work.began) == 1


class TestOfAnObservable:
    """single(observable): exactly one value."""

    async def test_one(self):
        assert await single(rx.of("answer")) == "answer"

    async def test_one_that_comes_later(self):
        assert await single(rx.timer(3).pipe(ops.map(lambda _: "answer"))) == "answer"
        assert now() == 3

    async def test_its_value_counts_only_when_it_completes(self):
        subject = Subject()
        waits = asyncio.ensure_future(single(subject).started())
        await asyncio.sleep(1)
        subject.on_next("answer")
        await asyncio.sleep(1)
        assert not waits.done()
        subject.on_completed()
        assert await waits == "answer"

    @pytest.mark.parametrize(
        ("observable", "words"), [(rx.empty(), "no value"), (rx.of(1, 2), "second value")]
    )
    async def test_none_or_two_are_an_error(self, observable, words):
        with pytest.raises(CallFailed, match=words) as caught:
            await single(observable)
        assert caught.value.category is Category.INVALID_RESPONSE

    async def test_two_with_an_error_between_are_that_error(self):
        with pytest.raises(ValueError, match="mine"):
            await single(rx.concat(rx.of(1), rx.throw(ValueError("mine"))))

    async def test_after_the_second_value_it_is_disposed_of(self):
        subject = Subject()
        waits = asyncio.ensure_future(single(subject).started())
        await asyncio.sleep(1)
        subject.on_next(1)
        subject.on_next(2)
        with pytest.raises(CallFailed):
            await waits
        assert subject.observers == []

    async def test_an_error_is_its_failure(self):
        with pytest.raises(ZeroDivisionError):
            await single(rx.throw(ZeroDivisionError()))

    @pytest.mark.parametrize("error", [asyncio.CancelledError(), StopIteration(), StopAsyncIteration()])
    async def test_a_strange_error_is_an_error_all_the_same(self, error):
        subject = Subject()
        waits = asyncio.ensure_future(single(subject).started())
        await asyncio.sleep(1)
        subject.on_error(error)
        await asyncio.wait((waits,))
        assert not waits.cancelled()
        assert isinstance(waits.exception(), Exception)

    async def test_cancelling_disposes(self):
        subject = Subject()
        await cancelled_after(1, single(subject))
        assert subject.observers == []

    async def test_its_operators_run_on_the_loop(self):
        """Timers and all: no other thread calls."""
        threads = set()
        look_on = ops.do_action(lambda _: threads.add(threading.get_ident()))
        stream = rx.interval(1).pipe(ops.take(2), ops.timeout(5), ops.last(), look_on)
        await single(stream)
        assert threads == {threading.get_ident()}
        assert now() == pytest.approx(2, abs=0.01)  # rx corrects its intervals by what really went by

    async def test_values_may_come_from_another_thread(self):
        assert await asyncio.to_thread(lambda: 1) == 1
        assert await single(rx.of("answer").pipe(ops.subscribe_on(NewThreadScheduler()))) == "answer"

    async def test_of_a_single_it_is_that_single(self):
        """With its children, its clocks and all that its result tells."""
        of = parallel(Work(1, "a"), Work(1, "b"))
        assert single(of) is of

    async def test_an_observable_that_fails_when_nobody_waits_any_more_is_no_error(self):
        told = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        failing = Subject()
        waiting = asyncio.ensure_future(single(failing).started())
        await asyncio.sleep(1)
        waiting.cancel()
        failing.on_error(passing())
        await asyncio.wait((waiting,))
        gc.collect()
        assert told == []

    async def test_it_composes_like_every_single(self):
        assert await fallback(single(rx.throw(passing())), single(rx.of("answer"))) == "answer"
        with pytest.raises(ChildrenFailed):
            await race(single(rx.empty()), single(rx.empty()))

    async def test_singles_in_it_are_cancelled_with_it(self):
        work = Work(9, cleanup=0.5)
        await cancelled_after(1, single(rx.merge(as_single(work), rx.never())))
        assert (work.cancelled, work.alive) == (1, 0)
        assert not others()

    async def test_singles_in_it_have_ended_before_what_comes_next(self):
        work, alive = Work(9, cleanup=0.5), []
        slow = timeout(1)(single(rx.defer(lambda _: as_single(work))))
        await fallback(slow, lambda: alive.append(work.alive))
        assert (work.cancelled, alive) == (1, [0])

    async def test_it_is_subscribed_to_anew_each_time(self):
        script = Script(passing(), "second")
        assert await single(rx.defer(lambda _: as_single(script))).retry(2) == "second"

    async def test_what_operators_take_is_taken_as_well(self):
        assert await single(lambda: 1) == 1
        assert await single(llm("Hello", model="echo:")) == "Hello"
        assert (await single(llm("Hello", model="echo:")).result()).kind == "llm"

    @pytest.mark.parametrize("thing", [1, None, "text", [lambda: 1]])
    def test_anything_else_is_refused(self, thing):
        with pytest.raises(TypeError, match="Expected a Single"):
            single(thing)
