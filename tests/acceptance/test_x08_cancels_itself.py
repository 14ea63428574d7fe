"""X08: a task that raises CancelledError itself is cancelled; nobody else is, and whoever waits for it goes on."""

import asyncio

import pytest

from streamer import (
    Engine,
    Pool,
    batched,
    concurrent_map,
    consensus,
    fallback,
    limited,
    map,
    parallel,
    race,
    retry,
    sequence,
    timeout,
)
from streamer.errors import Cancelled, Category, ChildrenFailed
from streamer.limits import Limit
from streamer.operand import as_single
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from tests.acceptance.topology import call
from tests.operators.doubles import Work, cancels_itself, now, others, result_of

pytestmark = pytest.mark.virtual_time


async def later():
    await asyncio.sleep(1)
    raise asyncio.CancelledError


async def cancels_its_own_task():
    inner = asyncio.ensure_future(asyncio.sleep(60))
    inner.cancel()
    await inner


def provided():
    return Registry().declare(lambda _: later(), {"name": "model"})("?")


CANCELLING = {
    "a function": lambda: cancels_itself,
    "a coroutine": lambda: later,
    "a task of its own": lambda: cancels_its_own_task,
    "a provider": provided,
    "a provider, clocked": lambda: timeout(60)(provided()),
    "a registered function": lambda: FunctionTarget(later, "later")(),
    "a thread": lambda: FunctionTarget(cancels_itself, "thread")(),
}
WORKS = pytest.mark.parametrize("make", CANCELLING.values(), ids=CANCELLING)
COMBINED = {
    "parallel": lambda *works: parallel(*works),
    "map": lambda *works: map(as_single, works),
    "map over an iterator": lambda *works: map(as_single, iter(works)),
    "sequence": lambda *works: sequence(*works, on_error="continue"),
}


@WORKS
@pytest.mark.parametrize("combine", COMBINED.values(), ids=COMBINED)
async def test_x08_its_siblings_have_their_values(combine, make):
    sibling = Work(5, "c")
    with pytest.raises(ChildrenFailed) as caught:
        await combine(Work(2, "a"), make(), sibling)
    assert caught.value.value == ["a", None, "c"]
    assert isinstance(caught.value.failures[1], Cancelled)
    assert (sibling.cancelled, sibling.alive) == (0, 0)
    assert not others()


@WORKS
async def test_x08_it_is_cancelled_and_neither_a_success_nor_a_failure(make):
    result = await result_of(parallel(Work(2, "a"), make(), Work(2, "c")))
    assert [child.status for child in result.children] == ["succeeded", "cancelled", "succeeded"]
    assert result.children[1].error.category is Category.CANCELLED
    assert result.successful_values() == ["a", "c"]
    assert not result.all_succeeded


ALONE = {
    "as it is": as_single,
    "retry": retry(3, retry_on=lambda error: True),
    "timeout": timeout(60),
    "limited": limited(Limit(1)),
    "race": race,
    "parallel": parallel,
    "fallback": lambda work: fallback(work, Work(1, "a cancelled task is not tried elsewhere")),
    "map": lambda work: map(as_single, [work]),
    "batched": lambda work: batched(lambda _: as_single(work), 1, 0)("item"),
}


@WORKS
@pytest.mark.parametrize("around", ALONE.values(), ids=ALONE)
async def test_x08_whoever_awaits_it_goes_on(around, make):
    """With an error of its own, which is no CancelledError that would tear down what is around."""
    with pytest.raises(Exception) as caught:
        await around(make())
    assert not isinstance(caught.value, asyncio.CancelledError)
    assert asyncio.current_task().cancelling() == 0
    assert not others()


async def test_x08_a_race_goes_on_without_it():
    assert await race(cancels_itself, Work(2, "second")) == "second"
    assert now() == 2


async def test_x08_a_consensus_counts_it_as_no_answer():
    assert await consensus(cancels_itself, Work(1, "same"), Work(2, "same")) == "same"


async def test_x08_under_fail_fast_it_is_not_taken_for_one_that_was_stopped():
    """It is the cause; its sibling was stopped by it."""
    result = await result_of(parallel(later, Work(60), fail_fast=True))
    cause, stopped = (child.error.message for child in result.children)
    assert [child.status for child in result.children] == ["cancelled", "cancelled"]
    assert cause == "It raised CancelledError itself."
    assert stopped != cause


@WORKS
async def test_x08_a_pool_lives_on(make):
    async with Pool(1) as pool:
        gone, next_one = await pool.submit(make()), await pool.submit(Work(1, "next"))
        assert (await gone).status == "cancelled"
        assert (await next_one).value == "next"
    assert (pool.stats.cancelled, pool.stats.succeeded, pool.stats.failed) == (1, 1, 0)


@WORKS
async def test_x08_so_do_streams(make):
    works = [Work(1, "a"), make(), Work(1, "c")]
    results = [result async for result in Engine(as_single).stream(works, concurrency=1)]
    assert [result.status for result in results] == ["succeeded", "cancelled", "succeeded"]


async def test_x08_an_item_of_concurrent_map_is_the_streams_error_and_not_its_cancellation():
    end = asyncio.get_running_loop().create_future()
    concurrent_map(lambda _: later(), 2)([1]).subscribe(on_error=end.set_result, on_completed=end.cancel)
    assert isinstance(await end, Cancelled)


WIRE = {
    "x08-parallel": {
        "kind": "parallel",
        "tasks": [call("say", "a", 0.05), call("cancel_itself"), call("say", "c", 0.05)],
    },
    "x08-alone": call("cancel_itself"),
    "x08-race": {"kind": "race", "tasks": [call("cancel_itself"), call("say", "second", 0.02)]},
}


async def test_x08_on_the_wire(answer):
    result = await answer("x08-parallel")
    assert [child["status"] for child in result["children"]] == ["succeeded", "cancelled", "succeeded"]
    assert result["value"] == ["a", None, "c"]
    assert (await answer("x08-alone"))["status"] == "cancelled"
    assert (await answer("x08-race"))["value"] == "second"
