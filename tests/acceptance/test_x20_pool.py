"""X20: a pool: futures, drain, shutdown; no client and no task can hurt it, and nothing submitted is lost."""

import asyncio

import pytest

from streamer import Pool, Status
from streamer.errors import PoolClosed, PoolDraining, QueueFull
from streamer.providers.registry import Registry
from streamer.tasks import Retry
from tests.operators.doubles import Script, Work, cancels_itself, now, others, passing

pytestmark = pytest.mark.virtual_time


async def test_x20_futures_of_results_three_at_a_time():
    async with Pool() as pool:
        futures = [await pool.submit(Work(1, n)) for n in range(7)]
        assert all(isinstance(future, asyncio.Future) for future in futures)
        await asyncio.sleep(0)
        assert (pool.active, pool.queued) == (3, 4)
        assert [(await future).value for future in futures] == list(range(7))
    assert now() == 3


async def test_x20_drain_waits_for_all_and_then_accepts_again():
    pool = Pool(2)
    futures = [await pool.submit(Work(1, n)) for n in range(4)]
    await pool.drain()
    assert now() == 2
    assert all(future.done() for future in futures)
    assert (await (await pool.submit(Work(1, "after")))).value == "after"
    await pool.shutdown()


async def test_x20_shutdown_finishes_everything_and_may_be_repeated():
    pool = Pool(1)
    futures = [await pool.submit(Work(1, n)) for n in range(3)]
    await asyncio.gather(pool.shutdown(), pool.shutdown())
    await pool.shutdown()
    assert [future.result().value for future in futures] == [0, 1, 2]
    assert not others()


async def test_x20_once_shut_down_it_stays_so():
    pool = Pool()
    await pool.shutdown()
    with pytest.raises(PoolClosed):
        await pool.submit(Work())
    with pytest.raises(PoolClosed):
        pool.submit_nowait(Work())


async def test_x20_whoever_submits_while_it_closes_is_told_so_and_never_left_waiting():
    """At whatever instant between the drain and the end: a future that ends, or an error."""
    pool = Pool(2)
    accepted, refused = [], 0

    async def keeps_submitting():
        nonlocal refused
        for _ in range(200):
            try:
                accepted.append(await pool.submit(Work(0.01, "done")))
            except PoolClosed:
                refused += 1
            await asyncio.sleep(0.001)

    submitting = asyncio.ensure_future(keeps_submitting())
    await asyncio.sleep(0.05)
    await pool.shutdown()
    await submitting
    assert len(accepted) + refused == 200
    assert refused > 0
    assert [future.result().value for future in accepted] == ["done"] * len(accepted)
    assert pool.stats.submitted == pool.stats.succeeded == len(accepted)


async def test_x20_a_client_that_cancels_its_future_does_not_hurt_the_pool():
    """Not as many clients as there are workers, in whatever state their tasks are."""
    async with Pool(2) as pool:
        running = [await pool.submit(Work(50, cleanup=0.5)) for _ in range(2)]
        queued = [await pool.submit(Work(50)) for _ in range(2)]
        await asyncio.sleep(1)
        for future in (*running, *queued):
            future.cancel()
        later = [await pool.submit(Work(1, n)) for n in range(4)]
        assert [(await future).value for future in later] == [0, 1, 2, 3]
        await pool.drain(timeout=10)
    stats = pool.stats
    assert (stats.submitted, stats.succeeded, stats.cancelled, stats.failed) == (8, 4, 4, 0)
    assert not others()


async def test_x20_a_future_that_is_cancelled_as_its_task_ends_counts_once():
    async with Pool(1) as pool:
        future = await pool.submit(Work(1, "done"))
        await asyncio.sleep(0.5)
        asyncio.get_running_loop().call_at(1.0, future.cancel)
        await pool.drain(timeout=10)
    assert (pool.stats.submitted, pool.stats.finished) == (1, 1)


class Odd(BaseException):
    """Meant to end a program."""


@pytest.mark.parametrize("error", [cancels_itself, lambda: (_ for _ in ()).throw(Odd()), lambda: 1 / 0])
async def test_x20_no_task_ends_a_worker(error):
    async with Pool(2) as pool:
        futures = [await pool.submit(error) for _ in range(5)]
        assert {(await future).status for future in futures} <= {Status.FAILED, Status.CANCELLED}
        assert (await (await pool.submit(Work(1, "alive")))).value == "alive"


async def test_x20_a_drain_that_is_given_up_leaves_the_pool_as_it_was():
    pool = Pool(1)
    slow = await pool.submit(Work(5, "slow"))
    with pytest.raises(TimeoutError):
        await pool.drain(timeout=1)
    assert (await (await pool.submit(Work(1, "next")))).value == "next"
    await pool.submit(Work(5))
    draining = asyncio.ensure_future(pool.drain())
    await asyncio.sleep(0)
    draining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await draining
    assert (await (await pool.submit(Work(1, "after")))).value == "after"
    assert (await slow).value == "slow"
    await pool.drain(timeout=10)
    await pool.shutdown()


async def test_x20_while_it_drains_submissions_are_refused_by_name():
    pool = Pool(1)
    await pool.submit(Work(1))
    draining = asyncio.ensure_future(pool.drain())
    await asyncio.sleep(0)
    with pytest.raises(PoolDraining):
        pool.submit_nowait(Work())
    await draining
    await pool.shutdown()


async def test_x20_what_is_shared_can_be_switched_off_by_one_task():
    """An empty list is a list: it is not taken for nothing said."""
    fallback = Script("from the fallback")
    shared = {"retry": Retry(max_attempts=3, initial_delay=1), "fallbacks": [fallback]}
    async with Pool(1, **shared, timeout=5, metadata={"team": "a"}) as pool:
        usual = await (await pool.submit(Script(passing())))
        assert (usual.value, usual.metadata) == ("from the fallback", {"team": "a"})
        for nothing in ((), [], None):
            alone = await (await pool.submit(Script(passing()), fallbacks=nothing))
            assert (alone.status, len(fallback.began)) == ("failed", 1)
        once = Script(passing())
        assert not (await (await pool.submit(once, fallbacks=(), retry=None))).succeeded
        assert len(once.began) == 1
        assert (await (await pool.submit(Work(50, "slow"), timeout=None))).value == "slow"
        assert (await (await pool.submit(Work(1), metadata={}))).metadata is None


async def test_x20_a_lazy_call_is_made_and_its_answer_is_whole():
    async def pieces(request):
        for piece in ("a ", "whole ", "answer"):
            await asyncio.sleep(1)
            yield piece

    model = Registry().declare(pieces, {"name": "model"})
    async with Pool() as pool:
        result = await (await pool.submit(model("?")))
    assert (result.value, result.duration) == ("a whole answer", 3)


async def test_x20_counts_are_of_all_and_durations_too():
    async with Pool(2) as pool:
        for work in (Work(1, "ok"), Work(2, error=RuntimeError("no")), Work(3, "ok")):
            await pool.submit(work)
        await pool.drain()
    stats = pool.stats
    assert (stats.submitted, stats.succeeded, stats.failed, stats.total_duration) == (3, 2, 1, 6)


async def test_x20_a_full_queue_waits_or_refuses():
    async with Pool(1, queue=1) as pool:
        first = [await pool.submit(Work(1, n)) for n in range(2)]
        third = await asyncio.wait_for(pool.submit(Work(1, 2)), 5)
        assert now() == 1
        assert [(await future).value for future in (*first, third)] == [0, 1, 2]
    async with Pool(1, queue=1, when_full="refuse") as pool:
        for _ in range(2):
            await pool.submit(Work(1))
        with pytest.raises(QueueFull):
            await pool.submit(Work(1))


async def test_x20_shut_down_now_cancels_and_says_so_to_everybody():
    pool = Pool(1)
    futures = [await pool.submit(Work(50, cleanup=0.5)) for _ in range(3)]
    await asyncio.sleep(1)
    await pool.shutdown(now=True)
    assert now() == 1.5
    assert [future.result().status for future in futures] == ["cancelled"] * 3
    assert not others()
