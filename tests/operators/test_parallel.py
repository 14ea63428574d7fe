"""parallel: all at once, order and names kept, every child accounted for."""

import asyncio
from collections import Counter

import pytest

from streamer import Status, map, parallel, race, retry, timeout
from streamer.errors import Cancelled, Category, ChildrenFailed, Skipped
from streamer.operand import as_single
from tests.operators.doubles import (
    Script,
    Stubborn,
    Work,
    cancelled_after,
    cancels_itself,
    now,
    others,
    passing,
    result_of,
)


async def failed(single) -> ChildrenFailed:
    with pytest.raises(ChildrenFailed) as caught:
        await single
    return caught.value


async def test_values_come_in_input_order():
    assert await parallel(Work(3, "a"), Work(1, "b"), Work(2, "c")) == ["a", "b", "c"]
    assert now() == 3


async def test_names_are_kept_in_their_order():
    values = await parallel({"slow": Work(2, 1), "quick": Work(1, 2)})
    assert list(values.items()) == [("slow", 1), ("quick", 2)]


@pytest.mark.parametrize(
    ("tasks", "settings", "value"),
    [
        ((), {}, []),
        (({},), {}, {}),
        ((), {"fail_fast": True}, []),
        ((), {"require": "any"}, []),
        ((), {"reduce": "sum"}, 0),
        ((), {"reduce": "count"}, 0),
        ((), {"reduce": "concat"}, ""),
        ((), {"reduce": "merge"}, {}),
    ],
)
async def test_of_nothing_it_is_empty(tasks, settings, value):
    assert await parallel(*tasks, **settings) == value


@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_at_most_so_many_run_at_a_time(limit):
    running = peak = 0

    async def work():
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(1)
        running -= 1

    await parallel(*[work] * 10, concurrency=limit)
    assert peak == limit
    assert now() == -(-10 // limit)


async def test_a_hundred_run_at_a_time_unless_told():
    work = Work(1)
    await parallel(*[work] * 150)
    assert Counter(work.began) == {0: 100, 1: 50}


async def test_one_failure_leaves_the_others_alone():
    error = ValueError("b")
    other = Work(5, "c")
    raised = await failed(parallel(Work(1, "a"), Work(2, error=error), other))
    assert raised.failures == {1: error}
    assert raised.value == ["a", None, "c"]
    assert other.cancelled == 0


async def test_failures_are_told_by_name():
    raised = await failed(parallel({"a": Work(error=ValueError("x")), "b": Work(value=1)}))
    assert list(raised.failures) == ["a"]
    assert raised.value == {"a": None, "b": 1}


async def test_a_child_that_raises_cancelled_error_is_its_own_failure_only():
    mapped = as_single(Work(1)).map(lambda _: cancels_itself())
    raised = await failed(parallel(cancels_itself, Work(2, "b"), mapped))
    assert {key: error.category for key, error in raised.failures.items()} == {
        0: Category.CANCELLED,
        2: Category.CANCELLED,
    }
    assert raised.value == [None, "b", None]


class TestRequire:
    @pytest.mark.parametrize(
        ("require", "succeed"),
        [("all", 3), ("any", 1), ("none", 0), (0, 0), (2, 2), (3, 3)],
    )
    @pytest.mark.parametrize("successes", [0, 1, 2, 3])
    async def test_says_how_many_must_succeed(self, require, succeed, successes):
        children = [Work(value=i) if i < successes else Work(error=passing()) for i in range(3)]
        single = parallel(*children, require=require)
        values = [i if i < successes else None for i in range(3)]
        if successes >= succeed:
            assert await single == values
        else:
            assert (await failed(single)).value == values

    @pytest.mark.parametrize("require", ["most", -1, True, 1.5])
    def test_is_judged_when_made(self, require):
        with pytest.raises(ValueError, match="require"):
            parallel(Work(), require=require)


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5])
def test_concurrency_is_judged_when_made(concurrency):
    with pytest.raises(ValueError, match="concurrency"):
        parallel(Work(), concurrency=concurrency)


class TestFailFast:
    async def test_cancels_what_runs_and_keeps_what_was_finished(self):
        running = Work(9, cleanup=0.25)
        error = passing()
        raised = await failed(parallel(Work(1, "a"), running, Work(2, error=error), fail_fast=True))
        assert (now(), running.cancelled, running.alive) == (2.25, 1, 0)
        assert raised.value == ["a", None, None]
        assert isinstance(raised.failures[1], Cancelled)
        assert raised.failures[2] is error
        assert not others()

    async def test_names_the_cause_first(self):
        """That siblings were stopped explains nothing."""
        raised = await failed(parallel(Work(9), Work(1, error=passing()), fail_fast=True))
        assert list(raised.failures) == [1, 0]
        assert raised.exceptions[0].category is Category.OVERLOADED

    async def test_begins_nothing_more(self):
        waiting = Work()
        single = parallel(Work(1, error=passing()), Work(9), waiting, concurrency=2, fail_fast=True)
        raised = await failed(single)
        assert waiting.began == []
        assert isinstance(raised.failures[2], Skipped)

    async def test_accounts_for_every_child(self):
        children = [Work(1, "a"), Work(2, error=passing()), Work(9), Work(9), Work(1)]
        result = await result_of(parallel(*children, fail_fast=True, concurrency=4))
        states = Counter(child.status for child in result.each_child())
        assert states == {
            Status.SUCCEEDED: 2,
            Status.FAILED: 1,
            Status.CANCELLED: 2,
        }
        children[1].seconds = 0.5
        result = await result_of(parallel(*children, fail_fast=True, concurrency=3))
        assert [child.status for child in result.each_child()] == [
            Status.CANCELLED,
            Status.FAILED,
            Status.CANCELLED,
            Status.SKIPPED,
            Status.SKIPPED,
        ]

    async def test_lets_retries_finish_first(self):
        flaky = retry(3, initial_delay=1, backoff="fixed")(Script(passing(), passing(), "third"))
        assert await parallel(flaky, Work(9, "slow"), fail_fast=True) == ["third", "slow"]

    async def test_goes_on_while_enough_can_still_succeed(self):
        children = [Work(1, error=passing()), Work(2, "b"), Work(3, error=passing()), Work(9, "d")]
        raised = await failed(parallel(*children, require=3, fail_fast=True))
        assert now() == 3
        assert raised.value == [None, "b", None, None]
        children[2].error = None
        assert await parallel(*children, require=3, fail_fast=True) == [None, "b", None, "d"]

    async def test_does_not_wait_longer_than_the_grace(self):
        stubborn = Stubborn()
        raised = await failed(parallel(stubborn, Work(1, error=passing()), fail_fast=True))
        assert now() == 2
        assert isinstance(raised.failures[0], Cancelled)
        stubborn.release.set()

    async def test_keeps_what_a_cancelled_child_gives_all_the_same(self):
        async def saves_its_work():
            try:
                await asyncio.sleep(9)
            except asyncio.CancelledError:
                return "saved"

        raised = await failed(parallel(saves_its_work, Work(1, error=passing()), fail_fast=True))
        assert raised.value == ["saved", None]
        assert list(raised.failures) == [1]


async def test_cancelled_from_outside_it_leaves_nobody_running():
    children = [Work(9, cleanup=0.5) for _ in range(3)]
    never = Work()
    await cancelled_after(1, parallel(*children, never, concurrency=3))
    assert [child.cancelled for child in children] == [1, 1, 1]
    assert never.began == []
    assert not others()


class TestReduce:
    @pytest.mark.parametrize(
        ("reduce", "values", "reduced"),
        [
            ("sum", [1, 2.5], 3.5),
            ("count", ["a", None], 2),
            ("concat", ["a", "b"], "ab"),
            ("merge", [{"a": 1}, {"b": 2}], {"a": 1, "b": 2}),
        ],
    )
    async def test_makes_one_value_of_them(self, reduce, values, reduced):
        children = [Work(1 - i / 10, value) for i, value in enumerate(values)]
        assert await parallel(*children, reduce=reduce) == reduced

    async def test_is_over_the_successes(self):
        children = [Work(value=1), Work(error=passing()), Work(value=3)]
        assert await parallel(*children, reduce="sum", require="any") == 4
        assert (await failed(parallel(*children, reduce="sum"))).value == 4

    async def test_of_the_wrong_type_is_the_failure(self):
        with pytest.raises(Exception, match="sum takes numbers, not str") as caught:
            await parallel(lambda: "a", reduce="sum")
        assert caught.value.category is Category.INVALID_RESPONSE

    async def test_does_not_hide_why_children_failed(self):
        error = passing()
        raised = await failed(parallel(Work(value="a"), Work(error=error), reduce="sum"))
        assert raised.failures == {1: error}

    def test_anything_else_is_refused(self):
        with pytest.raises(ValueError, match="reduce"):
            parallel(Work(), reduce="average")


@pytest.mark.parametrize("kind", ["parallel", "map"])
async def test_ended_while_a_child_outlives_the_grace_its_result_accounts_for_all(kind):
    """What had ended has its value, what had not begun was skipped, whatever the one in between goes on to do."""
    stubborn = Stubborn()
    works = [Work(0, "a"), stubborn, Work(1, "c")]
    both = parallel(*works, concurrency=1) if kind == "parallel" else map(as_single, works, concurrency=1)
    result = await result_of(timeout(1)(race(both)))
    assert now() == 2
    (group,) = result.children
    assert [child.status for child in group.children] == ["succeeded", "cancelled", "skipped"]
    assert group.value == ["a", None, None]
    stubborn.release.set()
    await asyncio.sleep(1)
    assert not others()
