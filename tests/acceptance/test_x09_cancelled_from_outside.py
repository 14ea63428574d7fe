"""X09: cancelled from outside, every operator has ended all that it started, and awaited its cleaning up."""

import asyncio
from contextlib import aclosing

import pytest

from streamer import Engine, Pool, concurrent_map, race
from streamer.operand import as_single
from tests.operators.doubles import Work, cancelled_after, now, others
from tests.operators.test_nothing_leaks import WRAPPED, slowly

pytestmark = pytest.mark.virtual_time

CLEANUP = 0.5


async def engine_run(work):
    await Engine(as_single).run(work)


async def engine_stream(work):
    async for _ in Engine(as_single).stream([work] * 5, concurrency=2):
        pass


async def engine_stream_read_slowly(work):
    tasks = slowly(*[Work(0.1), *[work] * 5])
    async with aclosing(Engine(as_single).stream(tasks, concurrency=2)) as results:
        async for _ in results:
            await asyncio.sleep(1)


async def in_a_pool(work):
    async with Pool(2) as pool:
        futures = [await pool.submit(work) for _ in range(5)]
        await asyncio.gather(*futures)


async def in_shared_slots(work):
    engine = Engine(as_single, concurrency=1)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(engine.run(work))


AROUND = {
    **{name: lambda work, wrap=wrap: wrap(work).started() for name, wrap in WRAPPED.items()},
    "Engine.run": engine_run,
    "Engine.stream": engine_stream,
    "Engine.stream, read slowly": engine_stream_read_slowly,
    "Engine(concurrency=)": in_shared_slots,
    "Pool": in_a_pool,
}
EACH = pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)


@EACH
@pytest.mark.parametrize("seconds", [0, 0.25, 1, 2, 3])
async def test_x09_no_child_is_alive_and_each_has_cleaned_up(around, seconds):
    work = Work(50, cleanup=CLEANUP)
    await cancelled_after(seconds, around(work))
    assert now() <= seconds + 2 * CLEANUP
    assert work.alive == 0
    assert not others()
    began = len(work.began)
    await asyncio.sleep(1000)
    assert len(work.began) == began, "and none begins later"


async def test_x09_disposing_of_a_stream_is_the_same():
    work = Work(50, cleanup=CLEANUP)
    for stream in (concurrent_map(lambda w: w(), 3)([work] * 5), Engine(as_single).answers([work] * 5)):
        subscription = stream.subscribe()
        await asyncio.sleep(1)
        assert work.alive > 0
        subscription.dispose()
        await asyncio.sleep(CLEANUP + 0.1)
        assert work.alive == 0
        assert not others()


async def test_x09_a_contender_that_raises_before_it_has_begun_leaves_no_other_behind():
    """A factory that raises at once is a failure like any other, not the end of the race."""

    def raises():
        raise RuntimeError("before there is a coroutine")

    loser = Work(50, cleanup=CLEANUP)
    assert await race(raises, Work(1, "won"), loser) == "won"
    assert (loser.cancelled, loser.alive) == (1, 0)
    assert not others()
