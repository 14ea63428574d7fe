"""map: a function over items, in their order, of any length, read as there is room."""

import asyncio
import gc
import weakref
from collections import Counter

import pytest
import reactivex as rx

from streamer import Status, fallback, llm, map, parallel, retry, sequence, timeout
from streamer.errors import Category, ChildrenFailed, StreamerError
from streamer.operand import as_single
from streamer.providers.registry import Registry
from streamer.results import Usage
from tests.operators.doubles import Work, cancelled_after, now, others, passing, result_of


async def failed(single) -> ChildrenFailed:
    with pytest.raises(ChildrenFailed) as caught:
        await single
    return caught.value


async def after(seconds):
    await asyncio.sleep(seconds)
    return seconds


class Source:
    """An iterator, or async iterator, that remembers how far it was read and whether it was closed."""

    def __init__(self, *items, seconds=0, error=None):
        self.items, self.seconds, self.error = items, seconds, error
        self.read = self.closed = 0

    def plain(self):
        try:
            for item in self.items:
                self.read += 1
                yield item
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1

    async def slow(self):
        try:
            for item in self.items:
                await asyncio.sleep(self.seconds)
                self.read += 1
                yield item
            if self.error is not None:
                raise self.error
        finally:
            await asyncio.sleep(0)
            self.closed += 1

    def both(self):
        return {"plain": self.plain, "slow": self.slow}


SHAPES = pytest.mark.parametrize("shape", ["plain", "slow"])


async def test_values_come_in_the_order_of_their_items():
    assert await map(after, [3, 1, 2]) == [3, 1, 2]
    assert now() == 3


@pytest.mark.parametrize("items", [[], (), {}, iter(()), Source().slow()])
async def test_of_nothing_it_is_empty(items):
    assert await map(after, items) == []


@pytest.mark.parametrize(
    ("function", "values"),
    [
        (lambda item: item * 2, [2, 4]),
        (lambda item, index: (item, index), [(1, 0), (2, 1)]),
        (lambda item, more=5: item + more, [6, 7]),
        (lambda item, index=None: index, [0, 1]),
        (lambda *items: items, [(1,), (2,)]),
        (str, ["1", "2"]),
        (lambda item: as_single(lambda: -item), [-1, -2]),
        (lambda item: llm(f"say {item}", model="echo:"), ["say 1", "say 2"]),
        (lambda item: map(str, range(item)), [["0"], ["0", "1"]]),
    ],
)
async def test_the_function_takes_an_item_or_an_item_and_its_index_and_returns_what_it_likes(
    function, values
):
    assert await map(function, [1, 2]) == values


@pytest.mark.parametrize(
    ("function", "items", "words"),
    [
        (llm("x", model="echo:"), [1], "function of an item, not a Llm"),
        (as_single(after), [1], "function of an item, not a Single"),
        ([1], after, "the function comes first"),
        (lambda: 1, [1], "an item and its index"),
        (lambda item, index, more: 1, [1], "an item and its index"),
        (after, "text", "items is a collection"),
        (after, 5, "items is a collection"),
        (after, rx.of(1), "items is a collection"),
    ],
)
def test_anything_else_is_refused_when_it_is_made(function, items, words):
    with pytest.raises(TypeError, match=words):
        map(function, items)


@pytest.mark.parametrize("name", ["concurrency", "batch_size"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, float("nan")])
def test_settings_are_judged_when_it_is_made(name, value):
    with pytest.raises(ValueError, match=name):
        map(after, [1], **{name: value})


@pytest.mark.parametrize(
    "settings", [{"require": "most"}, {"require": 2}, {"reduce": "average"}, {"on_error": 5}]
)
def test_so_are_the_others(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        map(after, [1], **settings)


class TestRoom:
    async def test_the_next_begins_when_one_has_ended(self):
        began = []

        async def work(seconds):
            began.append(now())
            await asyncio.sleep(seconds)

        await map(work, [1, 4, 1, 1, 1], concurrency=2)
        assert began == [0, 0, 1, 2, 3]

    @SHAPES
    async def test_a_batch_ends_before_the_next_begins(self, shape):
        began = []

        async def work(seconds):
            began.append(now())
            await asyncio.sleep(seconds)

        await map(work, Source(1, 4, 1, 1, 1).both()[shape](), batch_size=2)
        assert began == [0, 0, 4, 4, 5]

    async def test_a_slow_source_makes_no_other_batches(self):
        """The third item belongs to the first batch, though both before it had ended when it came; the fourth is
        asked for when that batch has ended."""
        began = []

        async def work(item):
            began.append(now())
            await asyncio.sleep(2)

        await map(work, Source(1, 2, 3, 4, 5, seconds=3).slow(), batch_size=3)
        assert began == [3, 6, 9, 14, 17]

    async def test_a_hundred_run_at_a_time_unless_told(self):
        work = Work(1)
        await map(lambda _: work(), range(150))
        assert Counter(work.began) == {0: 100, 1: 50}

    async def test_what_comes_while_it_was_asked_for_again_is_not_lost(self):
        """Of a source that gives several at once after a while, in which a child has ended."""

        async def source():
            for seconds, items in ((2, [0]), (2, [1, 2, 3])):
                await asyncio.sleep(seconds)
                for item in items:
                    yield item

        async def work(item):
            await asyncio.sleep(1)
            return item

        assert await map(work, source(), concurrency=3) == [0, 1, 2, 3]

    @SHAPES
    async def test_items_are_read_only_as_there_is_room(self, shape):
        source = Source(*range(50))
        ahead = []
        ended = 0

        async def work(item):
            nonlocal ended
            await asyncio.sleep(1)
            ended += 1
            ahead.append(source.read - ended)

        await map(work, source.both()[shape](), concurrency=4)
        assert max(ahead) <= 4
        assert (source.read, source.closed) == (50, 1)


class TestLazy:
    @SHAPES
    async def test_nothing_is_kept_of_an_ended_child_but_its_value(self, shape):
        class Item:
            pass

        alive = weakref.WeakSet()
        most = 0

        def items():
            for _ in range(40):
                item = Item()
                alive.add(item)
                yield item

        async def slow():
            for item in items():
                yield item

        async def work(item):
            nonlocal most
            await asyncio.sleep(1)
            gc.collect()
            most = max(most, len(alive))
            return 1

        given = items() if shape == "plain" else slow()
        result = await result_of(map(work, given, concurrency=5, reduce="count"))
        assert (result.value, result.children) == (40, ())
        assert most <= 11

    async def test_sum_and_count_are_over_the_successes(self):
        def work(item):
            if item == 2:
                raise passing()
            return item

        for reduce, value in (("sum", 4), ("count", 2), ("concat", None)):
            single = map(work, iter([1, 2, 3]), require="any", reduce=reduce)
            if value is None:
                with pytest.raises(Exception, match="concat takes"):
                    await single
            else:
                assert await single == value

    async def test_a_sum_of_what_is_no_number_is_the_failure(self):
        with pytest.raises(Exception, match="sum takes numbers, not str"):
            await map(str, iter([1, 2]), reduce="sum")

    async def test_of_very_many_failures_the_first_are_held_and_all_are_counted(self):
        def work(item):
            raise passing(str(item))

        raised = await failed(map(work, iter(range(1000))))
        assert (list(raised.failures), raised.failed) == (list(range(100)), 1000)
        assert "1000 of 1000 failed" in str(raised)
        assert "and 992 more" in str(raised)

    async def test_more_required_than_there_were_is_the_failure(self):
        with pytest.raises(Exception, match="require is 5, but there were only 3") as caught:
            await map(str, iter("abc"), require=5)
        assert caught.value.category is Category.INVALID_REQUEST

    async def test_what_its_children_cost_is_summed_though_they_are_gone(self):
        def answer(request):
            raise passing(usage=Usage(input_tokens=2), cost=0.5)

        ask = Registry().declare(answer, {"name": "model"})
        result = await result_of(
            parallel(map(lambda item: fallback(ask("x"), lambda: item), iter(range(3))), lambda: 1)
        )
        assert result.value == [[0, 1, 2], 1]
        assert (result.usage, result.cost) == (Usage(input_tokens=6), 1.5)

    async def test_an_iterator_is_read_only_once(self):
        flaky = Work(error=passing())
        with pytest.raises(StreamerError, match="only once"):
            await retry(2, retry_on=ChildrenFailed)(map(lambda _: flaky(), iter([1])))

    async def test_also_where_it_is_told_of_an_answer_before(self):
        flaky = Work(error=passing())
        plan = sequence(Work(value="before"), map(lambda _: flaky(), iter([1])), pass_result=True)
        result = await result_of(retry(2, initial_delay=1)(plan))
        assert "only once" in result.error.message

    async def test_a_collection_is_read_again(self):
        flaky = Work(error=passing())
        single = retry(3, initial_delay=1)(map(lambda _: flaky(), [1, 2]))
        await failed(single)
        assert len(flaky.began) == 6


class TestTheSourceIsClosed:
    @SHAPES
    async def test_after_its_last_item(self, shape):
        source = Source(1, 2)
        assert await map(after, source.both()[shape]()) == [1, 2]
        assert source.closed == 1

    @SHAPES
    async def test_when_fail_fast_stops(self, shape):
        source = Source(1, *[9] * 50, seconds=0.1)

        async def work(item):
            await asyncio.sleep(item)
            raise passing()

        raised = await failed(map(work, source.both()[shape](), concurrency=3, fail_fast=True))
        assert raised.failures[0].category is Category.OVERLOADED
        assert (source.read, source.closed, others()) == (3, 1, set())

    @SHAPES
    async def test_when_it_is_cancelled_from_outside(self, shape):
        source = Source(*[9] * 50, seconds=0.1)
        await cancelled_after(1, map(after, source.both()[shape](), concurrency=3))
        assert (source.closed, others()) == (1, set())

    async def test_while_it_is_waited_for(self):
        source = Source(1, seconds=50)
        with pytest.raises(TimeoutError):
            await timeout(5)(map(after, source.slow()))
        assert (now(), source.closed, others()) == (5, 1, set())

    @SHAPES
    async def test_when_it_raises_which_is_the_failure(self, shape):
        running = Work(50)
        source = Source(1, 50, error=KeyError("no more"), seconds=0.1)
        result = await result_of(map(lambda s: after(s) if s == 1 else running(), source.both()[shape]()))
        assert (result.status, result.error.type, running.alive, others()) == ("failed", "KeyError", 0, set())
        assert source.closed == 1

    async def test_and_that_has_ended_before_the_map_does(self):
        class Cursor:
            closed = False

            def __aiter__(self):
                return self

            async def __anext__(self):
                raise StopAsyncIteration

            async def aclose(self):
                await asyncio.sleep(1)
                self.closed = True

        cursor = Cursor()
        assert await map(after, cursor) == []
        assert (cursor.closed, now()) == (True, 1)

    async def test_and_its_own_cancellation_is_a_failure_too(self):
        source = Source(1, error=asyncio.CancelledError("mine"))
        result = await result_of(map(after, source.slow()))
        assert (result.status, result.error.category) == ("cancelled", "cancelled")


class TestFailures:
    async def test_one_leaves_the_others_alone(self):
        def work(item):
            if item == 2:
                raise ValueError("two")
            return after(item)

        raised = await failed(map(work, [1, 2, 3]))
        assert (raised.value, list(raised.failures)) == ([1, None, 3], [1])

    @pytest.mark.parametrize("given", [list, iter])
    async def test_fail_fast_stops_once_the_requirement_can_not_be_met(self, given):
        async def work(item):
            await asyncio.sleep(item)
            if item == 2:
                raise passing()
            return item

        result = await result_of(map(work, given([1, 2, 9, 9]), concurrency=3, fail_fast=True))
        assert result.duration == 2
        assert result.value[:2] == [1, None]
        if given is list:
            assert [child.status for child in result.children] == [
                "succeeded",
                "failed",
                "cancelled",
                "cancelled",
            ]

    async def test_every_child_of_a_collection_is_accounted_for(self):
        async def work(item):
            await asyncio.sleep(1)
            raise passing()

        result = await result_of(map(work, range(5), concurrency=2, fail_fast=True))
        assert result.counts == {
            Status.SUCCEEDED: 0,
            Status.FAILED: 2,
            Status.TIMED_OUT: 0,
            Status.CANCELLED: 0,
            Status.SKIPPED: 3,
        }

    async def test_those_that_never_began_when_a_clock_ended_it_too(self):
        result = await result_of(timeout(3)(map(after, [1, 9, 9, 9], concurrency=2)))
        assert (result.status, result.value) == ("timed_out", [1, None, None, None])
        assert [child.status for child in result.children] == [
            "succeeded",
            "cancelled",
            "cancelled",
            "skipped",
        ]


async def test_each_child_is_what_the_function_gave():
    result = await result_of(map(lambda item: parallel(lambda: item, lambda: 2), [1]))
    (child,) = result.children
    assert (child.task_id.endswith("/0"), child.kind, [c.kind for c in child.children]) == (
        True,
        "parallel",
        ["function", "function"],
    )


async def test_in_a_sequence_each_is_told_the_answer_before():
    asked = []

    def answer(request):
        asked.append([message.content for message in request.messages])
        return request.prompt

    ask = Registry().declare(answer, {"name": "model"})
    await sequence(ask("one"), map(lambda item: ask(item), ["two", "three"]), pass_result=True)
    assert asked == [["one"], ["one", "two"], ["one", "three"]]


async def test_what_a_map_in_a_map_has_cost_is_in_the_usage_though_neither_keeps_its_children():
    model = Registry().declare("simulated:m?latency=1", {})
    nested = map(lambda _: map(lambda word: model(word), iter(["word", "word"])), iter(range(2)))
    result = await result_of(nested)
    assert result.value == [["word", "word"], ["word", "word"]]
    assert result.usage == Usage(input_tokens=4, output_tokens=4)
