"""Functions in processes: what computes leaves the event loop alone, and can be ended."""

import asyncio
import math
import os
import time
from functools import partial

import pytest

from streamer import Engine, Limit, Status, Topology, function, in_process, in_thread, parallel
from streamer.errors import CallFailed, SettingsError, TimedOut
from streamer.providers.function import FunctionTarget
from tests.providers import computing


@pytest.fixture
async def process():
    """Makes functions in processes, which end with the test."""
    targets = []

    def make(function, **settings):
        targets.append(FunctionTarget(function, function.__name__, run_in="process", **settings))
        return targets[-1]

    yield make
    for target in targets:
        await target.close()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_they_run_in_processes_that_are_used_again(process):
    target = process(computing.process_id, concurrency=1)
    first, second = await target(), await target()
    assert first == second != os.getpid()
    await target.close()
    assert not alive(first)
    assert await target() != first


async def test_arguments_and_values_go_and_come(process):
    target = process(computing.divide)
    assert await target(3, b=2) == 1.5
    assert await process(math.factorial)(20) == math.factorial(20)


async def test_what_it_raises_is_what_it_raises(process):
    target = process(computing.divide, retry_on=ZeroDivisionError)
    with pytest.raises(CallFailed) as caught:
        await target(1, 0)
    assert caught.value.category == "server_error"
    with pytest.raises(TypeError):
        await target(None)
    with pytest.raises(CallFailed) as caught:
        await process(computing.busy)()
    assert (caught.value.category, caught.value.retry_after) == ("overloaded", 2.0)
    with pytest.raises(FileNotFoundError):
        await process(computing.misses)()
    with pytest.raises(Exception, match="Awkward: one two"):
        await process(computing.awkward)()
    with pytest.raises(Exception, match="SystemExit"):
        await process(computing.leaves)()


async def test_what_does_not_travel_is_said(process):
    with pytest.raises(Exception, match="pickle"):
        await process(computing.lambdas)()
    target = process(computing.divide)
    with pytest.raises(Exception, match="pickle"):
        await target(lambda: None)
    assert await target(4) == 4


async def test_a_process_that_dies_takes_its_own_call_with_it_and_no_other(process):
    killed, works = process(computing.killed, concurrency=2), process(computing.computes, concurrency=2)
    results = await parallel(killed(), works(0.2), killed(), require="none").result()
    assert [child.status for child in results.each_child()] == [
        Status.FAILED,
        Status.SUCCEEDED,
        Status.FAILED,
    ]
    error = results.each_child()[0].error
    assert error.category == "internal"
    assert "process of function 'killed' ended with -9" in error.message
    again = await killed().result()
    assert again.error.message == error.message
    assert killed.slots.active == 0


@pytest.mark.parametrize("end", ["timeout", "cancellation"])
async def test_one_that_is_cancelled_is_killed_and_its_slot_free(process, end):
    target = process(computing.computes, concurrency=1)
    before = await target(0)
    began = time.monotonic()
    if end == "timeout":
        with pytest.raises(TimedOut):
            await target(100).timeout(0.2)
    else:
        task = asyncio.ensure_future(target(100).started())
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()
    assert time.monotonic() - began < 60
    assert (target.slots.active, alive(before)) == (0, False)
    assert await target(0) != before


async def test_the_loop_goes_on_meanwhile(process):
    target, ticks = process(computing.computes, concurrency=2), 0
    await asyncio.gather(target(0), target(0))
    work = asyncio.gather(target(0.3), target(0.3))
    while not work.done():
        ticks += 1
        await asyncio.sleep(0.01)
    assert ticks > 3
    assert len(set(await work)) == 2


async def test_by_default_as_many_as_there_are_processors(process):
    assert process(computing.divide).slots.limit == os.cpu_count()
    shared = Limit(1)
    assert process(computing.divide, concurrency=shared).slots is shared


async def test_tasks_call_them_by_name():
    topology = Topology("a", "b")
    topology.function(computing.divide, run_in="process")
    result = await Engine(functions=topology.functions).run(function("divide", 6, 3))
    assert (result.status, result.value) == (Status.SUCCEEDED, 2)
    await topology.functions["divide"].close()


class Callable:
    def __call__(self):
        pass

    def method(self):
        pass


@pytest.mark.parametrize(
    "function",
    [lambda: None, Callable(), Callable().method, partial(computing.divide, 1), [].append],
    ids=["lambda", "object", "method", "partial", "builtin method"],
)
def test_what_no_process_can_import_is_refused_when_made(function):
    with pytest.raises(SettingsError, match="that a process can import"):
        FunctionTarget(function, "f", run_in="process")


async def test_nor_one_that_is_nested():
    def nested():
        pass

    async def runs():
        pass

    with pytest.raises(SettingsError, match=r"not .*<locals>.nested"):
        in_process(nested)
    with pytest.raises(SettingsError, match="is async"):
        in_process(runs)


async def test_operators_take_them_too():
    """Wrapped, for what is not wrapped is called on the loop."""
    blocking = in_thread(lambda: time.sleep(0.1) or "slept", concurrency=2)
    computed = in_process(computing.divide)
    ticks = 0
    work = asyncio.ensure_future(parallel(blocking, blocking, computed(6, 3)).started())
    while not work.done():
        ticks += 1
        await asyncio.sleep(0.01)
    assert await work == ["slept", "slept", 2]
    assert ticks > 3
    await computed.close()
    with pytest.raises(ValueError, match="in_thread: takes a function"):
        in_thread(3)


@pytest.mark.parametrize("run_in", ["process", "thread", "loop"])
async def test_what_a_generator_yields_is_gathered_wherever_it_runs(run_in):
    """As from an async one: texts are one text."""
    count = FunctionTarget(computing.count, "count", run_in=run_in)
    spell = FunctionTarget(computing.spell, "spell", run_in=run_in)
    try:
        assert await parallel(count(3), spell("abc")) == [[0, 1, 2], "abc"]
    finally:
        await count.close()
        await spell.close()
