"""concurrent_map: a function over a stream, so many at once, values as they come."""

import asyncio
from contextvars import ContextVar

import pytest
import reactivex as rx
from reactivex import operators as ops
from reactivex.subject import Subject

from streamer import concurrent_map
from streamer.engine import Engine
from streamer.errors import Cancelled
from streamer.limits import Limit
from streamer.limits.waiting import AGE
from tests.operators.doubles import Stubborn, Work, cancels_itself, now, others

VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


class Seen:
    """What a subscriber was told."""

    def __init__(self, stream):
        self.values = []
        self.error = None
        self.completed = False
        self.end = asyncio.Event()
        self.subscription = stream.subscribe(self.values.append, self.failed, self.complete)

    def failed(self, error):
        assert not self.end.is_set()
        self.error = error
        self.end.set()

    def complete(self):
        assert not self.end.is_set()
        self.completed = True
        self.end.set()

    async def ended(self):
        await self.end.wait()
        return self.values


async def seconds(item):
    await asyncio.sleep(item)
    return item


async def aitems(items):
    for item in items:
        yield item


SOURCES = pytest.mark.parametrize(
    "source", [rx.of, lambda *items: list(items), lambda *items: aitems(items)], ids=["rx", "list", "async"]
)


@SOURCES
async def test_values_come_in_the_order_of_completion(source):
    assert await Seen(concurrent_map(seconds, 10)(source(3, 1, 2))).ended() == [1, 2, 3]
    assert now() == 3


@SOURCES
@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_at_most_so_many_run_at_once(source, limit):
    slots = Limit(limit)
    seen = Seen(concurrent_map(seconds, slots)(source(*[1] * 10)))
    assert len(await seen.ended()) == 10
    assert (slots.peak, slots.active, now()) == (limit, 0, -(-10 // limit))


@SOURCES
async def test_of_nothing_it_completes(source):
    seen = Seen(concurrent_map(seconds, 3)(source()))
    assert await seen.ended() == []
    assert seen.completed
    assert not others()


async def test_it_completes_only_when_the_source_has():
    source = Subject()
    seen = Seen(source.pipe(concurrent_map(seconds, 3)))
    source.on_next(1)
    await asyncio.sleep(5)
    assert (seen.values, seen.completed) == ([1], False)
    source.on_completed()
    assert seen.completed


async def test_it_completes_when_the_last_has_ended():
    """The end of the source is the drain: what runs goes on."""
    source = Subject()
    seen = Seen(source.pipe(concurrent_map(seconds, 3)))
    for item in (2, 5, 1, 1):
        source.on_next(item)
    source.on_completed()
    assert not seen.completed
    assert await seen.ended() == [1, 2, 1, 5]
    assert not others()


class TestReading:
    """An iterable is read as there is room."""

    @pytest.mark.parametrize("kind", ["sync", "async"])
    async def test_no_further_than_the_limit_ahead(self, kind):
        read = done = 0

        def items():
            nonlocal read
            for _ in range(1000):
                read += 1
                yield 1

        async def later():
            for item in items():
                yield item

        async def work(item):
            nonlocal done
            await asyncio.sleep(item)
            done += 1
            assert read - done <= 2 * 5 + 1

        seen = Seen(concurrent_map(work, 5)(items() if kind == "sync" else later()))
        await asyncio.sleep(0.5)
        assert 5 <= read <= 2 * 5 + 1
        await seen.ended()
        assert (seen.error, read, done) == (None, 1000, 1000)

    async def test_nothing_is_read_before_the_subscription(self):
        def items():
            raise AssertionError
            yield

        concurrent_map(seconds, 5)(items())

    async def test_each_subscription_reads_anew(self):
        stream = concurrent_map(seconds, 5)([1, 2])
        assert await asyncio.gather(Seen(stream).ended(), Seen(stream).ended()) == [[1, 2], [1, 2]]

    async def test_an_async_iterator_is_closed_when_disposed_of(self):
        closed = []

        async def items():
            try:
                while True:
                    yield 1
            finally:
                closed.append(now())

        held = items()  # so that no collector closes it
        seen = Seen(concurrent_map(seconds, 2)(held))
        await asyncio.sleep(3.5)
        seen.subscription.dispose()
        await asyncio.sleep(0.1)
        assert closed == [3.5]
        assert not others()


class TestBound:
    """An Observable cannot be told to wait."""

    async def test_more_waiting_items_are_an_error(self):
        source, work = Subject(), Work(9)
        seen = Seen(source.pipe(concurrent_map(lambda _: work(), 2, bound=3)))
        for _ in range(2):
            source.on_next(1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for _ in range(3):
            source.on_next(1)
        await asyncio.sleep(1)
        assert seen.error is None
        source.on_next(1)
        await seen.ended()
        assert isinstance(seen.error, OverflowError)
        assert (len(work.began), work.cancelled, work.alive) == (2, 2, 0)

    async def test_after_it_nothing_is_kept(self):
        kept = []

        class Item:
            def __del__(self):
                kept.remove(1)

        def make(_):
            kept.append(1)
            assert len(kept) < 20
            return Item()

        seen = Seen(rx.range(1000).pipe(ops.map(make), concurrent_map(seconds, 2, bound=5)))
        await seen.ended()
        assert isinstance(seen.error, OverflowError)
        assert len(kept) <= 1

    async def test_as_many_as_the_bound_may_wait(self):
        seen = Seen(rx.of(*[1] * 5).pipe(concurrent_map(seconds, 2, bound=5)))
        assert await seen.ended() == [1] * 5


@pytest.mark.parametrize(
    ("limit", "bound"), [(0, None), (-1, None), (True, None), (1.5, None), (1, 0), (1, -1)]
)
def test_its_settings_are_judged_when_made(limit, bound):
    with pytest.raises(ValueError):
        concurrent_map(seconds, limit, bound)


async def test_each_item_runs_in_a_context_of_its_own():
    async def work(item):
        before = VARIABLE.get()
        VARIABLE.set(item)
        await asyncio.sleep(1)
        task = asyncio.ensure_future(inner())
        return before, VARIABLE.get(), await task

    async def inner():
        return VARIABLE.get()

    VARIABLE.set("outside")
    seen = Seen(concurrent_map(work, 1)(["a", "b"]))
    assert await seen.ended() == [("outside", "a", "a"), ("outside", "b", "b")]
    assert VARIABLE.get() == "outside"


class TestErrors:
    async def test_of_the_function_end_the_stream_and_cancel_what_runs(self):
        running = Work(9, cleanup=0.5)

        async def work(item):
            return await (running() if item else Work(1, error=ValueError("mine"))())

        seen = Seen(concurrent_map(work, 3)([1, 0, 1, 1, 1]))
        await seen.ended()
        assert str(seen.error) == "mine"
        assert now() == 1.5
        assert (len(running.began), running.cancelled, running.alive) == (2, 2, 0)
        assert seen.values == []
        assert not others()

    @pytest.mark.parametrize(
        "source",
        [
            lambda: rx.concat(rx.of(9), rx.throw(KeyError("source"))),
            lambda: (1 // (2 - i) for i in range(3)),
            lambda: aitems(1 // (2 - i) for i in range(3)),
        ],
        ids=["rx", "generator", "async"],
    )
    async def test_of_the_source_are_the_streams(self, source):
        seen = Seen(concurrent_map(lambda _: Work(9)(), 3)(source()))
        await seen.ended()
        assert isinstance(seen.error, KeyError | ZeroDivisionError)
        assert not others()

    async def test_wait_for_what_runs_no_longer_than_the_grace(self):
        stubborn = Stubborn()

        async def work(item):
            return await (stubborn() if item else Work(1, error=ValueError("mine"))())

        seen = Seen(concurrent_map(work, 3)([1, 0]))
        await seen.ended()
        assert (str(seen.error), now()) == ("mine", 2)
        stubborn.release.set()

    async def test_a_cancelled_error_of_the_function_loses_no_item(self):
        """Instead of an answer there is an error."""

        async def work(item):
            return cancels_itself() if item == 2 else item

        seen = Seen(concurrent_map(work, 1)([1, 2, 3]))
        await seen.ended()
        assert isinstance(seen.error, Cancelled)
        assert seen.values == [1]

    async def test_what_is_no_awaitable_is_an_error(self):
        seen = Seen(concurrent_map(lambda item: item, 1)([1]))
        await seen.ended()
        assert seen.error is not None

    async def test_of_the_subscriber_end_it(self):
        stream = concurrent_map(seconds, 3)([1, 2, 9])
        errors = []

        def on_next(value):
            raise ValueError(value)

        stream.subscribe(on_next, errors.append)
        await asyncio.sleep(2)
        assert not others()


class TestDispose:
    async def test_cancels_what_runs_and_begins_nothing_more(self):
        work = Work(9, cleanup=0.5)
        seen = Seen(concurrent_map(lambda _: work(), 2)([1] * 10))
        await asyncio.sleep(1)
        seen.subscription.dispose()
        await asyncio.sleep(100)
        assert (len(work.began), work.cancelled, work.alive) == (2, 2, 0)
        assert (seen.values, seen.end.is_set()) == ([], False)
        assert not others()

    async def test_disposes_of_the_source(self):
        source = Subject()
        seen = Seen(source.pipe(concurrent_map(seconds, 2)))
        seen.subscription.dispose()
        assert source.observers == []

    async def test_what_ends_all_the_same_is_not_emitted(self):
        async def saves_its_work(item):
            try:
                await asyncio.sleep(9)
            except asyncio.CancelledError:
                return item

        seen = Seen(concurrent_map(saves_its_work, 2)([1, 2]))
        await asyncio.sleep(1)
        seen.subscription.dispose()
        await asyncio.sleep(1)
        assert seen.values == []

    async def test_slots_are_free_afterwards(self):
        slots = Limit(2)
        seen = Seen(concurrent_map(seconds, slots)([9] * 5))
        await asyncio.sleep(1)
        seen.subscription.dispose()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert slots.active == 0
        assert await Seen(concurrent_map(seconds, slots)([1, 1])).ended() == [1, 1]


async def test_strays_delay_completion():
    """The results are out, but their work is not over."""
    slots, stubborn = Limit(2), Stubborn()
    engine = Engine(lambda item: Work(1, item) if item else timed(stubborn), slots=slots)

    def timed(work):
        from streamer import timeout

        return timeout(2)(work)

    seen = Seen(concurrent_map(engine.run, slots)([0, 1, 1]))
    await asyncio.sleep(50)
    assert [result.status for result in seen.values] == ["succeeded", "succeeded", "timed_out"]
    assert (seen.completed, slots.active) == (False, 1)
    stubborn.release.set()
    await asyncio.sleep(0.1)
    assert (seen.completed, slots.active) == (True, 0)


async def test_a_slot_that_comes_free_elsewhere_is_used():
    """Lent by one who waits, say."""
    slots = Limit(1)
    assert slots.take()
    seen = Seen(concurrent_map(seconds, slots)([1]))
    await asyncio.sleep(5)
    assert seen.values == []
    slots.give()
    assert await seen.ended() == [1]
    assert now() == 6


async def test_two_streams_may_share_their_slots():
    """A limit holds over all who name it, and each stream completes on its own."""
    slots = Limit(2)
    streams = [Seen(concurrent_map(seconds, slots)([1] * 5)) for _ in range(2)]
    values = await asyncio.wait_for(asyncio.gather(*(stream.ended() for stream in streams)), 100)
    assert values == [[1] * 5, [1] * 5]
    assert (slots.peak, slots.active) == (2, 0)
    assert now() == 5


async def test_an_item_that_begins_in_the_slot_of_another_has_nothing_of_its_context():
    slots, seen = Limit(1), []

    async def work(item):
        seen.append((item, VARIABLE.get()))
        if item == "lends":
            VARIABLE.set("of another item")
            slots.give()
            await asyncio.sleep(5)
            await slots.acquire()

    await Seen(concurrent_map(work, slots)(["lends", "borrows"])).ended()
    assert seen == [("lends", "unset"), ("borrows", "unset")]


class TestStreamsThatShareTheirSlots:
    async def test_each_completes_when_its_own_work_is_over(self):
        slots = Limit(3)
        short = Seen(concurrent_map(seconds, slots)([1]))
        long = Seen(concurrent_map(seconds, slots)([9]))
        empty = Seen(concurrent_map(seconds, slots)([]))
        await short.ended()
        assert (now(), empty.completed, long.completed) == (1, True, False)
        await long.ended()
        assert (now(), slots.active, slots.freed) == (9, 0, ())

    async def test_only_its_own_strays_delay_it(self):
        from streamer import timeout

        slots, stubborn = Limit(3), Stubborn()
        engine = Engine(lambda item: item, slots=slots)
        stuck = Seen(concurrent_map(engine.run, slots)([timeout(2)(stubborn)]))
        other = Seen(concurrent_map(engine.run, slots)([timeout(9)(Work(5))]))
        await other.ended()
        await asyncio.sleep(5)
        assert (len(stuck.values), stuck.completed) == (1, False)
        stubborn.release.set()
        await stuck.ended()
        assert slots.active == 0

    async def test_they_take_turns(self):
        """However much one of them has to do."""
        slots, order = Limit(1), []

        async def work(item):
            order.append(item)
            await asyncio.sleep(1)

        seen = [
            Seen(concurrent_map(work, slots)([name] * many)) for name, many in (("a", 8), ("b", 3), ("c", 2))
        ]
        await asyncio.gather(*(stream.ended() for stream in seen))
        assert "".join(order).replace("a", "") in ("bcbcb", "cbcbb")
        assert "".join(order[:9]).count("a") <= 4
        assert (slots.peak, slots.active, now()) == (1, 0, 13)

    async def test_one_that_ends_gives_its_place_in_the_line_back(self):
        slots = Limit(1)
        first, second = (Seen(concurrent_map(seconds, slots)([2] * 3)) for _ in range(2))
        await asyncio.sleep(1)
        second.subscription.dispose()
        assert await first.ended() == [2, 2, 2]
        assert (now(), slots.active, slots.waiters.alive) == (6, 0, 0)

    @pytest.mark.parametrize("turns", range(6))
    async def test_also_in_the_very_turn_that_it_is_given_a_slot(self, turns):
        slots = Limit(1)
        first, second = (
            Seen(concurrent_map(seconds, slots)([2])),
            Seen(concurrent_map(seconds, slots)([2] * 3)),
        )
        await asyncio.sleep(2)
        for _ in range(turns):
            await asyncio.sleep(0)
        second.subscription.dispose()
        await asyncio.sleep(9)
        assert (first.completed, slots.active, slots.waiters.alive, others()) == (True, 0, 0, set())

    async def test_who_waits_for_a_slot_otherwise_takes_turns_with_them(self):
        slots = Limit(1)
        streams = [Seen(concurrent_map(seconds, slots)([1] * 9)) for _ in range(2)]
        await asyncio.sleep(0.5)
        await slots.acquire()
        assert now() <= 3
        slots.give()
        await asyncio.gather(*(stream.ended() for stream in streams))
        assert (now(), slots.active) == (18, 0)


class TestPriority:
    """Of the items that wait the higher begins first."""

    async def begun(self, items, limit=1, gap=0.0):
        order, source = [], Subject()

        async def work(item):
            order.append(item)
            await asyncio.sleep(1)

        stream = source.pipe(concurrent_map(work, limit, priority=lambda item: item[0]))
        seen = Seen(stream)
        for item in items:
            source.on_next(item)
            if gap:
                await asyncio.sleep(gap)
        source.on_completed()
        await seen.ended()
        return order

    async def test_the_higher_first_and_of_equals_the_first(self):
        order = await self.begun([(0, "a"), (1, "b"), (None, "c"), (5, "d"), (1, "e"), (-1, "f")])
        assert [name for _, name in order] == ["d", "b", "e", "a", "c", "f"]

    async def test_all_that_there_is_room_for_begin_as_they_come(self):
        assert [name for _, name in await self.begun([(0, "a"), (9, "b")], limit=2, gap=0.1)] == ["a", "b"]

    async def test_nobody_starves(self):
        """Without end, something higher comes; yet the lower one goes, when it has waited for long enough."""
        items = [(0, "first"), (0, "low"), *((2, f"high {number}") for number in range(70))]
        order = [name for _, name in await self.begun(items, gap=0.4)]
        assert order.index("low") == pytest.approx(
            2 * AGE / 0.4, abs=4
        )  # those that came in the time of two steps

    async def test_in_a_line_with_other_streams_too(self):
        slots, order = Limit(1), []

        async def work(item):
            order.append(item)
            await asyncio.sleep(1)

        low, high = (Seen(concurrent_map(work, slots, priority=lambda _, p=p: p)([p] * 3)) for p in (0, 5))
        await asyncio.gather(low.ended(), high.ended())
        assert order[1:4] == [5, 5, 5] or order[:3] == [5, 5, 5]

    async def test_what_the_function_raises_ends_the_stream(self):
        source = Subject()
        seen = Seen(source.pipe(concurrent_map(seconds, 1, priority=lambda item: 1 / item)))
        source.on_next(0)
        await seen.end.wait()
        assert isinstance(seen.error, ZeroDivisionError)
