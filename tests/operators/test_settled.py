"""What ended children leave: of those that only have a value no step stays, and nobody sees a difference."""

import asyncio
import gc
import weakref

import pytest

from streamer import Engine, Progress, Status, map, parallel, retry, sequence
from streamer.providers.protocol import Response
from streamer.providers.registry import Registry
from streamer.results import Usage
from streamer.step import current
from tests.engine.test_engine import result_of
from tests.operators.doubles import Script, Work, passing


@pytest.mark.parametrize("shape", ["parallel", "map"])
async def test_their_steps_go_as_they_end(shape):
    alive, most = weakref.WeakSet(), 0

    async def work(item=None):
        nonlocal most
        alive.add(current.get())
        await asyncio.sleep(1)
        gc.collect()
        most = max(most, len(alive))
        return item

    if shape == "map":
        await map(work, range(20), concurrency=5)
    else:
        await parallel(*[work] * 20, concurrency=5)
    assert most <= 5 + 2


async def test_the_result_tells_of_them_as_of_the_others():
    """In their order, with their times; among them one that failed, one that called a model and one that nests."""
    ask = Registry().declare(lambda _: "asked", {"name": "m"})

    async def later():
        await asyncio.sleep(2)
        return "later"

    result = await result_of(
        parallel(later, lambda: None, Script(passing()), ask("?"), lambda: parallel(lambda: 1), require="any")
    )
    assert result.value == ["later", None, None, "asked", [1]]
    assert [child.task_id for child in result.children] == [f"t/{index}" for index in range(5)]
    assert [str(child.status) for child in result.children] == [
        "succeeded",
        "succeeded",
        "failed",
        "succeeded",
        "succeeded",
    ]
    assert [child.kind for child in result.children] == [
        "function",
        "function",
        "function",
        "llm",
        "function",
    ]
    assert [child.duration for child in result.children] == [2, 0, 0, 0, 0]
    assert (result.child(0).value, result.counts[Status.SUCCEEDED]) == ("later", 4)


async def test_their_values_are_told_where_a_reduction_made_another_of_them():
    result = await result_of(parallel(lambda: 1, lambda: 2, reduce="sum"))
    assert (result.value, [child.value for child in result.children]) == (3, [1, 2])


async def test_run_once_more_they_are_told_of_as_they_were_the_last_time():
    runs = []

    async def work():
        runs.append(len(runs))
        await asyncio.sleep(1)
        return runs[-1]

    fails = Script(passing(), "well")
    result = await result_of(retry(2, initial_delay=5, jitter=0)(parallel(work, fails)))
    assert result.value == [1, "well"]
    first, _ = result.children
    assert (first.started_at - result.started_at).total_seconds() == pytest.approx(6)


async def test_what_one_calls_later_is_told_and_paid_for_all_the_same():
    """It has started something and returned, and its siblings still run."""
    paid = Response(text="late", usage=Usage(input_tokens=7))
    ask, left = Registry().declare(lambda _: paid, {"name": "m"}), []

    async def child():
        async def later():
            await asyncio.sleep(1)
            await ask("?")

        left.append(asyncio.ensure_future(later()))

    async def slow():
        await asyncio.sleep(2)

    result = await result_of(parallel(child, slow))
    assert [len(child.attempts) for child in result.children] == [1, 0]
    assert result.usage == Usage(input_tokens=7)


@pytest.mark.parametrize("second", [sequence(*[lambda: "a"] * 4), parallel(*[lambda: "a"] * 4)])
async def test_where_another_operator_runs_the_second_time_its_children_are_told_of(second):
    plans = [parallel(lambda: 1, Script(passing())), second]
    result = await result_of(retry(2, initial_delay=1)(map(lambda _: plans.pop(0), [0])))
    assert [child.status for child in result.child(0).each_child()] == ["succeeded"] * 4


async def test_until_they_run_again_progress_shows_them_as_they_were():
    progress = Progress("all")
    plan = retry(2, initial_delay=5, jitter=0)(parallel(lambda: 1, Work(3), Script(passing(), "well")))
    task = asyncio.ensure_future(Engine(lambda _: plan).run(None, watched=progress))
    await asyncio.sleep(4)
    assert [child.state.value for child in progress.snapshot().children] == [
        "succeeded",
        "succeeded",
        "failed",
    ]
    await asyncio.sleep(5)
    assert [child.state.value for child in progress.snapshot().children] == [
        "succeeded",
        "running",
        "succeeded",
    ]
    assert (await task).succeeded
