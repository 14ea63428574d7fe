"""X04: one raises, the others do not notice; its error is kept as the object that it is."""

import asyncio

import pytest

from streamer import Engine, Pool, batched, map, parallel, sequence
from streamer.errors import Category, ChildrenFailed
from streamer.operand import as_single
from tests.acceptance.topology import call
from tests.operators.doubles import Work, result_of

pytestmark = pytest.mark.virtual_time

ERRORS = [RuntimeError("b"), ValueError("the type of an error steers nothing"), KeyError("k")]
COMBINED = {
    "parallel": lambda works: parallel(*works),
    "parallel, one at a time": lambda works: parallel(*works, concurrency=1),
    "map": lambda works: map(lambda work: work(), works),
    "map by batches": lambda works: map(lambda work: work(), works, batch_size=2),
    "sequence": lambda works: sequence(*works, on_error="continue"),
}


def raises_at_once(error):
    """Not in the coroutine: before there is one."""

    def work():
        raise error

    return work


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
@pytest.mark.parametrize("combine", COMBINED.values(), ids=COMBINED)
async def test_x04_the_others_have_their_values_and_the_error_is_the_one_that_was_raised(
    combine, sync, error
):
    bad = raises_at_once(error) if sync else Work(1, error=error)
    with pytest.raises(ChildrenFailed) as caught:
        await combine([Work(2, "a"), bad, Work(2, "c")])
    assert caught.value.value == ["a", None, "c"]
    assert caught.value.failures[1] is error
    assert list(caught.value.failures) == [1]
    assert caught.value.exceptions == (error,)


@pytest.mark.parametrize("combine", COMBINED.values(), ids=COMBINED)
async def test_x04_the_result_says_which_failed_and_why(combine):
    error = RuntimeError("b")
    result = await result_of(combine([Work(1, "a"), Work(1, error=error), Work(1, None)]))
    assert [child.status for child in result.children] == ["succeeded", "failed", "succeeded"]
    assert result.children[1].error.exception is error
    assert (result.children[1].error.type, result.children[1].error.category) == (
        "RuntimeError",
        Category.INTERNAL,
    )
    assert result.successful_values() == ["a", None], "a None that was returned is a value"


async def test_x04_of_a_pool():
    error = RuntimeError("b")
    async with Pool() as pool:
        futures = [await pool.submit(work) for work in (Work(1, "a"), Work(1, error=error), Work(1, "c"))]
        results = await asyncio.gather(*futures)
    assert [result.status for result in results] == ["succeeded", "failed", "succeeded"]
    assert results[1].error.exception is error


async def test_x04_of_a_stream_of_tasks():
    works = [Work(1, "a"), Work(1, error=RuntimeError("b")), Work(1, "c")]
    results = [result async for result in Engine(as_single).stream(works)]
    assert sorted(str(result.value) for result in results if result.succeeded) == ["a", "c"]
    assert [result.error.exception for result in results if not result.succeeded] == [works[1].error]


async def test_x04_of_elements_that_share_a_call():
    error = RuntimeError("b")
    ask = batched(lambda items: ["a", error, "c"], 3, 1)
    with pytest.raises(ChildrenFailed) as caught:
        await parallel(*(ask(item) for item in range(3)))
    assert caught.value.value == ["a", None, "c"]
    assert caught.value.failures[1] is error


WIRE = {
    "x04-parallel": {"kind": "parallel", "tasks": [call("say", "a"), call("fail", "b"), call("say", "c")]},
    "x04-sequence": {
        "kind": "sequence",
        "on_error": "continue",
        "tasks": [call("say", "a"), call("fail", "b"), call("say", "c")],
    },
}


@pytest.mark.parametrize("name", WIRE)
async def test_x04_on_the_wire(answer, name):
    result = await answer(name)
    assert (result["status"], result["value"]) == ("failed", ["a", None, "c"])
    assert [child["status"] for child in result["children"]] == ["succeeded", "failed", "succeeded"]
    error = result["children"][1]["error"]
    assert (error["category"], error["type"], error["message"]) == ("internal", "RuntimeError", "b")
