"""A pool is drained, shut down, or left behind."""

import asyncio
import gc
import warnings

import pytest

from streamer import Pool
from streamer.errors import PoolClosed, PoolDraining
from streamer.testing.clock import run
from tests.operators.doubles import Stubborn, Work, now, others
from tests.pool.adding import add_up


async def test_drain_waits_for_everything_and_accepts_nothing_meanwhile():
    async with Pool(1) as pool:
        futures = [await pool.submit(Work(1)) for _ in range(3)]
        draining = asyncio.ensure_future(pool.drain())
        await asyncio.sleep(0.5)
        with pytest.raises(PoolDraining, match="being drained"):
            await pool.submit(Work())
        await draining
        assert all(future.done() for future in futures)
        assert (await pool.submit_nowait(lambda: "again")).value == "again"


async def test_who_waits_for_room_is_turned_away_by_a_drain():
    async with Pool(1, queue=1) as pool:
        await pool.submit(Work(1))
        await pool.submit(Work(1))
        waiting = asyncio.ensure_future(pool.submit(Work(1)))
        await asyncio.sleep(0)
        await pool.drain()
        with pytest.raises(PoolDraining):
            await waiting
        assert add_up(pool).submitted == 2


@pytest.mark.parametrize("how", ["its timeout", "a cancellation"])
async def test_a_drain_that_is_given_up_leaves_a_pool_that_accepts(how):
    async with Pool(1) as pool:
        slow = await pool.submit(Work(9, "slow"))
        with pytest.raises(TimeoutError):
            await (pool.drain(timeout=1) if how == "its timeout" else asyncio.wait_for(pool.drain(), 1))
        quick = await pool.submit(lambda: "quick")
        await pool.drain()
        assert ((await slow).value, (await quick).value) == ("slow", "quick")


async def test_a_graceful_shutdown_finishes_everything_and_is_idempotent():
    pool = Pool(1)
    futures = [await pool.submit(Work(1, "done")) for _ in range(3)]
    await asyncio.gather(pool.shutdown(), pool.shutdown())
    await pool.shutdown()
    await pool.shutdown(now=True)
    assert [(await future).value for future in futures] == ["done"] * 3


async def test_a_pool_that_never_began_ends_at_once():
    await Pool().shutdown()
    await Pool().shutdown(now=True)
    await Pool().drain()


async def test_shutdown_now_cancels_what_runs_and_what_waits_never_begins():
    running, waiting = Work(50, cleanup=0.5), Work(1)
    pool = Pool(1)
    futures = [await pool.submit(running), await pool.submit(waiting)]
    await asyncio.sleep(1)
    await pool.shutdown(now=True)
    assert now() == 1.5
    assert [(await future).status for future in futures] == ["cancelled", "cancelled"]
    assert [len(running.began), len(waiting.began), running.alive] == [1, 0, 0]
    assert add_up(pool).cancelled == 2
    assert not others()


async def test_shutdown_now_hurries_a_graceful_one():
    pool = Pool(1)
    futures = [await pool.submit(Work(50)) for _ in range(3)]
    graceful = asyncio.ensure_future(pool.shutdown())
    await asyncio.sleep(1)
    await pool.shutdown(now=True)
    await graceful
    assert now() == 1
    assert [(await future).status for future in futures] == ["cancelled"] * 3


async def test_shutdown_now_does_not_wait_for_ever_for_what_does_not_end():
    stubborn = Stubborn()
    pool = Pool(1)
    future = await pool.submit(stubborn)
    await asyncio.sleep(1)
    await pool.shutdown(now=True)
    assert ((await future).status, now()) == ("cancelled", 3)
    stubborn.release.set()


@pytest.mark.parametrize("now", [False, True])
async def test_what_is_submitted_while_it_shuts_down_or_afterwards_is_refused(now):
    pool = Pool(1, queue=1)
    await pool.submit(Work(5, cleanup=0.5))
    await pool.submit(Work(5))
    waiting = asyncio.ensure_future(pool.submit(Work(5)))
    await asyncio.sleep(1)
    ending = asyncio.ensure_future(pool.shutdown(now=now))
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(PoolClosed, match="shut down"):
            await pool.submit(Work())
        with pytest.raises(PoolClosed):
            pool.submit_nowait(Work())
        await ending
    with pytest.raises(PoolClosed):
        await waiting
    assert add_up(pool).submitted == 2


async def test_the_block_finishes_everything_when_it_ends_well():
    async with Pool(1) as pool:
        futures = [await pool.submit(Work(1, "done")) for _ in range(3)]
    assert [future.result().value for future in futures] == ["done"] * 3


async def test_the_block_cancels_everything_when_it_raises():
    futures = []

    async def block():
        async with Pool(1) as pool:
            futures.extend([await pool.submit(Work(50)) for _ in range(3)])
            await asyncio.sleep(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert now() == 1
    assert [future.result().status for future in futures] == ["cancelled"] * 3
    assert not others()


@pytest.mark.parametrize("seconds", [1, 3])
async def test_the_block_cancels_everything_when_it_is_cancelled_inside_or_at_its_end(seconds):
    work = [Work(50) for _ in range(3)]

    async def block():
        async with Pool(1) as pool:
            for each in work:
                await pool.submit(each)
            await asyncio.sleep(2)

    task = asyncio.ensure_future(block())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (now(), [len(each.began) for each in work]) == (seconds, [1, 0, 0])
    assert not others()


async def leave_a_pool_behind():
    pool = Pool(1)
    pool.crew.slots.take()  # so that nothing begins, and nothing but this function holds the pool
    pool.submit_nowait(Work(1))


async def test_a_pool_that_is_dropped_says_what_it_leaves_unfinished():
    await leave_a_pool_behind()
    with pytest.warns(ResourceWarning, match="1 tasks unfinished"):
        gc.collect()


def test_a_loop_that_is_wound_up_begins_nothing_that_waits():
    work, futures = [Work(50, cleanup=0.5) for _ in range(5)], []

    async def forget():
        pool = Pool(2)
        futures.extend([await pool.submit(each) for each in work])
        await asyncio.sleep(1)

    run(forget())
    gc.collect()
    assert [len(each.began) for each in work] == [1, 1, 0, 0, 0]
    assert [future.result().status for future in futures] == ["cancelled"] * 5


def test_a_pool_that_was_never_used_goes_quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Pool()
        gc.collect()
