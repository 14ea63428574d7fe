"""X01: N tasks that all succeed have N values, in the order of the input, under their keys."""

import asyncio

import pytest

from streamer import (
    Engine,
    Pool,
    batched,
    concurrent_map,
    consensus,
    fallback,
    map,
    parallel,
    race,
    retry,
    sequence,
    timeout,
)
from streamer.operand import as_single
from tests.acceptance.topology import call
from tests.operators.doubles import Work, now, result_of

pytestmark = pytest.mark.virtual_time

N = 20
SLOWEST_FIRST = [N - number for number in range(N)]


def works():
    return [Work(seconds, number) for number, seconds in enumerate(SLOWEST_FIRST)]


async def later(items):
    for item in items:
        await asyncio.sleep(0)
        yield item


async def pooled(works):
    async with Pool(N) as pool:
        return [(await future).value for future in [await pool.submit(work) for work in works]]


async def each_in_a_batch(works):
    async def answers(items):
        return await asyncio.gather(*(item() for item in items))

    return await parallel(*[batched(answers, N, 1)(work) for work in works])


ORDERED = {
    "parallel": lambda works: parallel(*works),
    "parallel, three at a time": lambda works: parallel(*works, concurrency=3),
    "parallel, fail_fast": lambda works: parallel(*works, fail_fast=True),
    "map": lambda works: map(lambda work: work(), works),
    "map over an iterator": lambda works: map(lambda work: work(), iter(works), concurrency=3),
    "map over an async iterator": lambda works: map(lambda work: work(), later(works)),
    "map by batches": lambda works: map(lambda work: work(), works, batch_size=7),
    "sequence": lambda works: sequence(*works),
    "batched": each_in_a_batch,
    "Pool": pooled,
}


@pytest.mark.parametrize("run", ORDERED.values(), ids=ORDERED)
async def test_x01_values_are_in_input_order_though_the_first_ends_last(run):
    assert await run(works()) == list(range(N))


async def test_x01_a_result_has_each_child_in_its_place():
    result = await result_of(parallel(*works()))
    assert [child.task_id for child in result.children] == [f"{result.task_id}/{n}" for n in range(N)]
    assert (result.successes, result.failures, result.all_succeeded) == (N, 0, True)
    assert result.successful_values() == list(range(N))


async def test_x01_keys_are_kept_in_their_order():
    values = await parallel({f"task {number}": work for number, work in enumerate(works())})
    assert list(values.items()) == [(f"task {number}", number) for number in range(N)]


@pytest.mark.parametrize("many", ["answers", "stream", "concurrent_map"])
async def test_x01_of_a_stream_of_tasks_none_is_missing_and_none_is_there_twice(many):
    engine = Engine(as_single)
    values = []
    if many == "stream":
        values = [result.value async for result in engine.stream(works())]
    else:
        done = asyncio.get_running_loop().create_future()
        source = (
            engine.answers(works())
            if many == "answers"
            else concurrent_map(lambda work: engine.run(work), 5)(works())
        )
        source.subscribe(
            lambda result: values.append(result.value), done.set_exception, lambda: done.set_result(None)
        )
        await done
    assert sorted(values) == list(range(N))


class AsyncCallable:
    async def __call__(self):
        await asyncio.sleep(1)
        return "value"


async def text():
    for piece in ("a ", "lazy ", "stream"):
        await asyncio.sleep(1)
        yield piece


AWAITED = {
    "a coroutine function": (Work(1, "value"), "value"),
    "an object with async __call__": (AsyncCallable(), "value"),
    "a lambda that returns a coroutine": (lambda: AsyncCallable()(), "value"),
    "a lambda that returns a future": (lambda: asyncio.ensure_future(AsyncCallable()()), "value"),
    "a lambda that returns a Single": (lambda: as_single(AsyncCallable()), "value"),
    "a lambda that returns an async iterator": (lambda: text(), "a lazy stream"),
    "an async generator function": (text, "a lazy stream"),
}
COMBINED = {
    "parallel": lambda work: parallel(work).map(lambda values: values[0]),
    "map": lambda work: map(lambda _: work(), [1]).map(lambda values: values[0]),
    "sequence": lambda work: sequence(work).map(lambda values: values[0]),
    "race": race,
    "fallback": fallback,
    "consensus": lambda work: consensus(work, work),
    "retry": retry(2),
    "timeout": timeout(60),
}


@pytest.mark.parametrize("combine", COMBINED.values(), ids=COMBINED)
@pytest.mark.parametrize(("work", "value"), AWAITED.values(), ids=AWAITED)
async def test_x01_a_task_is_done_when_its_value_is_whole_however_it_is_given(combine, work, value):
    """A lazy stream that nobody has read is no success, and a coroutine that nobody awaited no value."""
    assert await combine(work) == value
    assert now() >= 1


async def test_x01_a_race_is_not_won_by_a_stream_that_has_only_begun():
    async def begins_at_once():
        yield "begins at once, "
        await asyncio.sleep(60)
        yield "ends late"

    assert await race(begins_at_once, Work(2, "whole")) == "whole"
    assert now() == 2


WIRE = {
    "x01-positional": {"kind": "parallel", "tasks": [call("say", n, 0.1 - n / 100) for n in range(10)]},
    "x01-named": {"kind": "parallel", "tasks": {f"n{n}": call("say", n, 0.1 - n / 100) for n in range(10)}},
    "x01-map": {"kind": "map", "items": list(range(10)), "task": call("say", "{{ item }}", 0.01)},
    "x01-sequence": {"kind": "sequence", "tasks": [call("say", n) for n in range(10)]},
}


@pytest.mark.parametrize("name", WIRE)
async def test_x01_on_the_wire(answer, name):
    result = await answer(name)
    assert (result["status"], len(result["children"])) == ("succeeded", 10)
    if name == "x01-named":
        assert list(result["value"].items()) == [(f"n{n}", n) for n in range(10)]
        assert list(result["children"]) == [f"n{n}" for n in range(10)]
    else:
        assert result["value"] == list(range(10))
        assert [child["task_id"] for child in result["children"]] == [f"{name}/{n}" for n in range(10)]
