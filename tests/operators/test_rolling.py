"""Children that share a worker, one after another, see nothing of each other."""

import asyncio
from contextvars import ContextVar

import pytest

from streamer import map, parallel
from streamer.errors import Cancelled, ChildrenFailed
from tests.operators.doubles import Work, now, others, result_of

VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")
WAITS = pytest.mark.parametrize("seconds", [None, 0, 1], ids=["at once", "a turn", "a second"])


async def wait(seconds):
    if seconds is not None:
        await asyncio.sleep(seconds)


@WAITS
async def test_each_has_a_context_of_its_own(seconds):
    async def work(item):
        before = VARIABLE.get()
        await wait(seconds)
        VARIABLE.set(item)
        await wait(seconds)
        return before, VARIABLE.get()

    assert await map(work, list("abc"), concurrency=1) == [("unset", "a"), ("unset", "b"), ("unset", "c")]
    assert VARIABLE.get() == "unset"


@WAITS
async def test_what_is_set_around_them_they_see(seconds):
    async def work(item):
        await wait(seconds)
        return VARIABLE.get()

    async def around():
        VARIABLE.set("around")
        return await map(work, list("ab"), concurrency=1)

    assert await parallel(around) == [["around", "around"]]


@WAITS
async def test_one_that_cancels_its_own_task_is_its_own_failure_only(seconds):
    async def work(item):
        await wait(seconds)
        if item == "b":
            asyncio.current_task().cancel()
            await asyncio.sleep(5)
        await wait(seconds)
        return item

    with pytest.raises(ChildrenFailed) as caught:
        await map(work, list("abc"), concurrency=1)
    assert caught.value.value == ["a", None, "c"]
    assert isinstance(caught.value.failures[1], Cancelled)
    assert not others()


@WAITS
async def test_one_that_survives_its_own_cancellation_leaves_none_to_the_next(seconds):
    async def work(item):
        await wait(seconds)
        if item == "b":
            asyncio.current_task().cancel()
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                return "survived"
        await wait(seconds)
        return asyncio.current_task().cancelling()

    assert await map(work, list("abc"), concurrency=1) == [0, "survived", 0]


@pytest.mark.parametrize("seconds", [None, 0])
async def test_a_clock_in_a_child_ends_that_child_alone(seconds):
    async def work(item):
        await wait(seconds)
        if item == "b":
            async with asyncio.timeout(1):
                await asyncio.sleep(50)
        return item

    with pytest.raises(ChildrenFailed) as caught:
        await map(work, list("abc"), concurrency=2)
    assert caught.value.value == ["a", None, "c"]
    assert (isinstance(caught.value.failures[1], TimeoutError), now()) == (True, 1)


async def test_a_child_finds_itself_in_one_asyncio_task_from_its_beginning_to_its_end():
    async def work(item):
        before = asyncio.current_task()
        await asyncio.sleep(item)
        return before is asyncio.current_task()

    assert await map(work, [0, 2, 1], concurrency=2) == [True, True, True]


@pytest.mark.parametrize("given", [list, iter])
async def test_others_have_their_turn_while_children_never_wait(given):
    turns = 0

    async def other():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(other())
    await map(lambda item: item, given(range(1000)), concurrency=10)
    task.cancel()
    assert turns >= 100


async def test_children_that_never_wait_run_in_a_single_asyncio_task():
    tasks = set()
    await map(lambda _: tasks.add(asyncio.current_task()), range(1000))
    assert len(tasks) == 1


async def test_all_that_there_is_room_for_begin_at_once():
    """Though workers start workers."""
    work = Work(1)
    turns = 0

    async def count():
        nonlocal turns
        while len(work.began) < 1000:
            turns += 1
            await asyncio.sleep(0)

    await asyncio.gather(count(), map(lambda _: work(), range(1000), concurrency=1000).started())
    assert (now(), turns < 20) == (1, True)


async def test_an_error_that_is_no_exception_is_the_failure_of_its_child_alone():
    class Odd(BaseException):
        pass

    async def work(item):
        await asyncio.sleep(item)
        if item == 1:
            raise Odd
        return item

    with pytest.raises(ChildrenFailed, match=r"It raised Odd\(\)") as caught:
        await map(work, [3, 1, 3])
    assert (caught.value.value, now(), others()) == ([3, None, 3], 3, set())


async def test_what_outlives_the_grace_is_not_counted_twice():
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    result = await result_of(parallel(stubborn, Work(1, error=ValueError("no")), fail_fast=True))
    release.set()
    await asyncio.sleep(1)
    assert (result.value, [child.status for child in result.children]) == (
        [None, None],
        ["cancelled", "failed"],
    )


@pytest.mark.parametrize("ends", ["with a value", "with an error"])
async def test_those_that_never_wait_leave_the_loop_a_turn_after_as_many_as_run_at_once(ends):
    async def work(item):
        if ends == "with an error":
            raise ValueError(item)
        begun.append(item)

    async def watch():
        while True:
            turns.append(len(begun))
            await asyncio.sleep(0)

    begun, turns = [], []
    watcher = asyncio.create_task(watch())
    await map(work, range(1000), concurrency=10, require="none")
    watcher.cancel()
    assert len(turns) >= 100
