"""batched: tasks that run at once share a call, and each has its own element of the answer."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import Engine, Status, batched, fallback, limited, parallel, retry, timeout
from streamer.errors import CallFailed, Category, SettingsError
from streamer.kafka.inspection import call_snapshot
from streamer.limits import Limit
from streamer.operand import as_single
from streamer.operators import concurrent_map
from streamer.providers import Registry, Response
from streamer.results import Result, Usage
from streamer.tasks import Llm, Retry
from streamer.testing.clock import run as virtual
from tests.engine.memory import Memory
from tests.operators.doubles import now, others, passing

pytestmark = pytest.mark.virtual_time


class Shared:
    """Takes ``seconds`` for a list of any length, and answers with what ``answer`` makes of each item."""

    def __init__(self, seconds: float = 1.0, answer: Callable[[Any], Any] = str.upper) -> None:
        self.seconds, self.answer = seconds, answer
        self.asked: list[tuple[float, list[Any]]] = []
        self.cancelled = 0
        self.running = self.peak = 0

    async def __call__(self, items: list[Any]) -> list[Any]:
        self.asked.append((now(), items))
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            await asyncio.sleep(self.seconds)
            return [self.answer(item) for item in items]
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    @property
    def sizes(self) -> list[int]:
        return [len(items) for _, items in self.asked]


async def run(*plans: Any, **settings: Any) -> list[Result]:
    """The results of plans that run at once, each a task of its own."""
    engine = Engine(as_single, **settings)
    return list(await asyncio.gather(*(engine.run(plan) for plan in plans)))


async def test_items_that_wait_at_once_share_a_call():
    shared = Shared()
    upper = batched(shared, 3, 5)
    results = await run(*map(upper, "abc"))
    assert [result.value for result in results] == ["A", "B", "C"]
    assert shared.asked == [(0, ["a", "b", "c"])]


async def test_a_call_begins_when_it_is_full_or_its_first_item_has_waited():
    shared = Shared()
    upper = batched(shared, 2, 5)
    results = await run(*map(upper, "abc"))
    assert [result.value for result in results] == ["A", "B", "C"]
    assert shared.asked == [(0, ["a", "b"]), (5, ["c"])]


async def test_without_a_wait_what_is_asked_in_one_turn_of_the_loop_goes_together():
    shared = Shared()
    await run(*map(batched(shared, 100, 0), "abcd"))
    assert shared.asked == [(0, ["a", "b", "c", "d"])]


async def test_fewer_run_slots_than_a_call_has_room_for_wait_no_longer_than_max_wait():
    shared = Shared()
    upper = batched(shared, 32, 2)
    engine = Engine(upper, slots=Limit(10))
    done = asyncio.Event()
    seen: list[Result] = []
    concurrent_map(engine.run, engine.slots)([f"item {n}" for n in range(30)]).subscribe(
        seen.append, on_completed=done.set
    )
    await done.wait()
    assert len(seen) == 30
    assert shared.sizes == [10, 10, 10]


async def test_an_exception_among_the_answers_is_the_failure_of_that_item_alone():
    shared = Shared(answer=lambda item: passing("too busy") if item == "b" else item)
    results = await run(*map(batched(shared, 3, 1), "abc"))
    assert [result.status for result in results] == [Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED]
    assert (results[1].error.category, results[1].error.message) == (Category.OVERLOADED, "too busy")


@pytest.mark.parametrize("odd", [StopIteration("odd"), asyncio.CancelledError("odd")])
async def test_an_exception_that_no_future_takes_is_a_failure_too(odd):
    results = await run(batched(lambda items: [odd], 1, 0)("a"))
    assert results[0].status in (Status.FAILED, Status.CANCELLED)
    assert "odd" in results[0].error.message


async def test_a_failed_call_fails_its_own_items_and_a_retry_joins_a_later_one():
    class Once(Shared):
        async def __call__(self, items):
            answers = await super().__call__(items)
            if "b" in items:
                raise passing()
            return answers

    shared = Once()
    upper = batched(shared, 2, 1)
    again = retry(2, initial_delay=3, backoff="fixed")
    results = await run(*(again(upper(item)) if item != "b" else upper(item) for item in "abcd"))
    assert [result.value for result in results] == ["A", None, "C", "D"]
    assert results[1].error.category is Category.OVERLOADED
    assert shared.asked == [(0, ["a", "b"]), (0, ["c", "d"]), (5, ["a"])]
    assert [attempt.outcome for attempt in results[0].attempts] == [Status.FAILED, Status.SUCCEEDED]


@pytest.mark.parametrize("answer", [["a"], ["a"] * 3, "aa", {"a": 1, "b": 2}, None, 7])
async def test_anything_but_as_many_answers_is_an_invalid_response_for_all(answer):
    results = await run(*map(batched(lambda items: answer, 2, 1, name="embed"), "ab"))
    assert [result.error.category for result in results] == [Category.INVALID_RESPONSE] * 2
    assert results[0].error.message.startswith("embed ")


async def test_a_function_may_return_a_single_an_iterator_or_yield():
    async def yielding(items):
        for item in items:
            yield item

    shared = Shared()
    for function in (lambda items: timeout(9)(lambda: shared(items)), yielding, tuple, iter):
        results = await run(*map(batched(function, 2, 1), "AB"))
        assert [result.value for result in results] == ["A", "B"]


async def test_who_is_cancelled_before_the_call_begins_is_not_in_it():
    shared = Shared()
    upper = batched(shared, 9, 5)
    results = await run(timeout(2)(fallback(upper("a"))), upper("b"))
    assert results[1].value == "B"
    assert shared.asked == [(5, ["b"])]


async def test_a_call_goes_on_while_somebody_waits_and_ends_with_the_last():
    shared = Shared(seconds=60)
    upper = batched(shared, 2, 1)
    results = await run(upper("a").timeout(10), upper("b").timeout(20))
    assert [result.status for result in results] == [Status.TIMED_OUT] * 2
    assert (now(), shared.cancelled, others()) == (20, 1, set())
    assert (await run(upper("c").timeout(70), upper("d").timeout(10)))[0].value == "C"


async def test_the_clock_of_an_attempt_starts_with_the_call():
    results = await run(batched(Shared(), 9, 30)("a").timeout(2))
    assert results[0].value == "A"
    assert results[0].attempts[0].duration == 1


async def test_so_many_calls_at_once_and_who_waits_meanwhile_goes_together():
    shared = Shared(seconds=10)
    upper = batched(shared, 8, 1, concurrency=1)

    async def after(seconds, item):
        await asyncio.sleep(seconds)
        return upper(item)

    late = {"a": 0, "b": 0.5, "c": 2, "d": 3, "e": 4}
    await run(*(lambda item=item: after(late[item], item) for item in late))
    assert (shared.sizes, shared.peak) == ([2, 3], 1)


async def test_a_call_that_cannot_be_cancelled_counts_until_it_ends():
    release = asyncio.Event()
    began: list[Any] = []

    async def stubborn(items):
        began.append(items)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return items

    stay = batched(stubborn, 1, 0, concurrency=1)
    first = asyncio.ensure_future(run(stay("a").timeout(5)))
    second = asyncio.ensure_future(run(stay("b")))
    assert (await first)[0].status is Status.TIMED_OUT
    assert began == [["a"]]
    release.set()
    assert (await second)[0].value == "b"
    assert not others()


async def test_a_call_belongs_to_no_task_and_outlives_those_that_leave():
    """It is asked outside of any task's scope, so that the end of one is not the end of the others' call."""
    model = Registry().declare(lambda request: asyncio.sleep(5, ["x", "y"]), {"name": "model"})
    both = batched(lambda items: model("both"), 2, 1)
    results = await run(both("a").timeout(3), both("b"))
    assert [result.status for result in results] == [Status.TIMED_OUT, Status.SUCCEEDED]
    assert results[1].value == "y"


async def test_what_a_call_cost_is_divided_among_those_who_wait_for_it():
    usage = Usage(input_tokens=100, output_tokens=7)
    answer = Response(value=["x", "y", "z"], model="m-2", usage=usage, cost=0.3)
    model = Registry().declare(lambda request: asyncio.sleep(5, answer), {"name": "model"})
    for function in (model, lambda items: model("all"), lambda items: asyncio.sleep(5, answer)):
        results = await run(*map(batched(function, 3, 1), "abc"))
        assert [result.value for result in results] == ["x", "y", "z"]
        assert [result.model for result in results] == ["m-2"] * 3
        assert sum((result.usage for result in results), Usage()) == usage
        assert sum(result.cost for result in results) == pytest.approx(0.3)
    left, *stayed = await run(*(batched_.timeout(t) for batched_, t in with_clocks(model, (2, 9, 9))))
    assert left.status is Status.TIMED_OUT
    assert stayed[0].usage + stayed[1].usage == usage


def with_clocks(model: Any, clocks: tuple[float, ...]) -> list[tuple[Any, float]]:
    ask = batched(model, 3, 1)
    return [(ask(item), clock) for item, clock in zip("abc", clocks, strict=True)]


async def test_what_a_failed_call_cost_is_divided_too():
    usage = Usage(output_tokens=5)

    async def broken(items):
        raise CallFailed("invalid_response", "half of it", usage=usage, cost=0.1)

    model = Registry().declare(lambda request: broken(request), {"name": "model"})
    for function in (broken, model, lambda items: model("all")):
        results = await run(*map(batched(function, 2, 1), "ab"))
        assert [result.usage.output_tokens for result in results] == [2, 3]


async def test_a_provider_is_asked_with_a_message_for_each_item():
    asked: list[Any] = []

    async def embed(request):
        asked.append([message.content for message in request.messages])
        return [len(message.content) for message in request.messages]

    model = Registry().declare(embed, {"name": "lengths", "concurrency": 1})
    length = batched(model, 2, 1)
    results = await run(length("one"), length(Llm(prompt="three", timeout=5, tag="t")))
    assert [result.value for result in results] == [3, 5]
    assert asked == [["one", "three"]]
    assert [attempt.provider for attempt in results[1].attempts] == ["lengths"]
    with pytest.raises(CallFailed, match="each item is one message"):
        length(Llm(prompt="a", system="b"))


async def test_an_items_own_retry_holds():
    """As with every call of a provider; a `retry` that is put around it is nearer."""
    answers = [[passing(), "x"], ["y"], [passing()], ["z"]]
    model = Registry().declare(lambda request: asyncio.sleep(1, answers.pop(0)), {"name": "model"})
    ask = batched(model, 2, 1)
    task = Llm(prompt="a", retry=Retry(max_attempts=2, initial_delay=5))
    first, second = await run(ask(task), ask("b"))
    assert (first.value, len(first.attempts), second.value) == ("y", 2, "x")
    (third,) = await run(ask(task).pipe(retry(1)))
    assert (third.status, len(third.attempts)) == (Status.FAILED, 1)


async def test_an_element_that_was_paid_for_is_remembered_and_one_of_a_function_only_if_asked():
    model = Registry().declare(lambda request: asyncio.sleep(1, ["x"]), {"name": "model"})
    for ask, notes in (
        (batched(model, 1, 0), 1),
        (batched(model, 1, 0, journal=False), 0),
        (batched(tuple, 1, 0), 0),
        (batched(tuple, 1, 0, journal=True), 1),
    ):
        memory = Memory()
        engine = Engine(lambda task, ask=ask: ask(task))
        first = await engine.run("a", task_id="t", journal=memory)
        assert len(memory.noted) == notes
        await memory.settle()
        again = await engine.run("a", task_id="t", journal=Memory(memory.durable))
        assert again.value == first.value


async def test_a_call_shares_the_slots_that_those_who_wait_for_it_hold():
    """Of one limit for the tasks and for the model, and of one around the items: nobody waits for his own."""
    limit = Limit(2, name="all")

    async def answer(request):
        return [message.content for message in request.messages]

    model = Registry().declare(answer, {"name": "model", "concurrency": limit})
    ask = batched(model, 2, 1)
    engine = Engine(ask, slots=limit)
    seen: list[Result] = []
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    concurrent_map(engine.run, limit)("abcde").subscribe(
        seen.append, done.set_exception, lambda: done.set_result(None)
    )
    await done
    assert sorted(result.value for result in seen) == list("abcde")
    around = [limited(limit)(fallback(ask(item))) for item in "ab"]
    assert [result.value for result in await run(*around)] == ["a", "b"]
    assert limit.active == 0


async def test_items_of_one_task_share_a_call_too():
    shared = Shared()
    upper = batched(shared, 10, 1)
    (result,) = await run(parallel(*map(upper, "abc")))
    assert result.value == ["A", "B", "C"]
    assert shared.sizes == [3]


def test_it_can_be_used_by_one_loop_after_another():
    upper = batched(Shared(0.0), 2, 0)
    assert [asyncio.run(run(upper("a")))[0].value for _ in range(2)] == ["A", "A"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_size": 0}, "max_size"),
        ({"max_size": True}, "max_size"),
        ({"max_size": 1.5}, "max_size"),
        ({"max_wait": -1}, "max_wait"),
        ({"max_wait": float("nan")}, "max_wait"),
        ({"max_wait": float("inf")}, "max_wait"),
        ({"max_wait": True}, "max_wait"),
        ({"max_wait": "1"}, "max_wait"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"name": ""}, "name"),
        ({"journal": 1}, "journal"),
        ({"function": 1}, "function of a list"),
    ],
)
def test_a_wrong_setting_is_named_with_its_range(settings, named):
    with pytest.raises(SettingsError, match=named):
        batched(**{"function": list, "max_size": 2, "max_wait": 1, **settings})


ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.integers(0, 12),
            "clock": st.none() | st.integers(1, 8),
            "cancel": st.none() | st.integers(0, 8),
            "fails": st.booleans(),
        }
    ),
    max_size=14,
)


@given(
    items=ITEMS,
    size=st.integers(1, 4),
    wait=st.integers(0, 5),
    concurrency=st.none() | st.integers(1, 2),
    broken=st.sets(st.integers(0, 5)),
)
def test_whoever_comes_and_goes_each_has_its_own_answer_and_nothing_is_left(
    items, size, wait, concurrency, broken
):
    """Whole calls fail, single elements fail, tasks run out of time or are cancelled."""

    class Some(Shared):
        async def __call__(self, items):
            number = len(self.asked)
            answers = await super().__call__(items)
            if number in broken:
                raise passing("broken")
            return answers

    async def story() -> None:
        shared = Some(3, lambda item: passing("its own") if items[item]["fails"] else -item)
        ask = batched(shared, size, wait, concurrency=concurrency)
        engine = Engine(as_single)

        async def one(number: int, item: dict[str, Any]) -> None:
            await asyncio.sleep(item["at"])
            plan = ask(number) if item["clock"] is None else ask(number).timeout(item["clock"])
            work = asyncio.ensure_future(engine.run(plan))
            if item["cancel"] is not None:
                asyncio.get_running_loop().call_later(item["cancel"], work.cancel)
            await asyncio.wait((work,))
            if work.cancelled():
                assert item["cancel"] is not None
                return
            result = work.result()
            if result.succeeded:
                assert (result.value, item["fails"]) == (-number, False)
            elif result.status is Status.TIMED_OUT:
                assert item["clock"] is not None
            else:
                assert result.error.message in ("broken", "its own")

        await asyncio.gather(*(one(number, item) for number, item in enumerate(items)))
        assert not others()
        assert shared.running == 0
        assert concurrency is None or shared.peak <= concurrency
        assert max(shared.sizes, default=1) <= size
        asked = [item for _, batch in shared.asked for item in batch]
        assert len(asked) == len(set(asked))
        gathering = ask.batches.gathering
        assert (gathering.running, gathering.waiting, ask.batches.timer) == (0, {}, None)

    virtual(story())


async def test_whoever_looks_sees_what_an_item_waits_for():
    """For others first, then for the call."""
    watched = Watched()
    work = asyncio.ensure_future(Engine(batched(Shared(), 9, 5)).run("a", watched=watched))
    await asyncio.sleep(1)
    seen = call_snapshot(watched.step, now())
    assert (seen.seconds, seen.limit) == (None, None)
    await asyncio.sleep(4.5)
    assert call_snapshot(watched.step, now()).seconds == 0.5
    assert (await work).value == "A"


class Watched:
    step: Any = None
