"""What becomes of a submission whose future is cancelled, or its id."""

import asyncio

from streamer import Pool, parallel
from streamer.errors import Category
from streamer.events import TaskEnded
from streamer.providers import provider
from tests.operators.doubles import Work
from tests.pool.adding import add_up


async def test_a_cancelled_future_of_what_waits_never_begins():
    work = Work(1)
    async with Pool(1) as pool:
        await pool.submit(Work(1))
        future = await pool.submit(work)
        future.cancel()
        await pool.drain()
        assert not work.began
        stats = add_up(pool)
        assert (stats.succeeded, stats.cancelled) == (1, 1)


async def test_a_cancelled_future_of_what_runs_cancels_it_and_the_worker_goes_on():
    work = Work(50, cleanup=0.5)
    async with Pool(1) as pool:
        future, after = await pool.submit(work), await pool.submit(Work(1, "next"))
        await asyncio.sleep(3)
        future.cancel()
        assert (await after).queue_time == 3.5
        assert (work.cancelled, work.alive) == (1, 0)
        stats = add_up(pool)
        assert (stats.succeeded, stats.cancelled) == (1, 1)


async def test_a_future_cancelled_in_the_moment_it_begins_costs_no_worker():
    work = Work(1)
    async with Pool(1) as pool:
        (await pool.submit(work)).cancel()
        assert (await pool.submit_nowait(lambda: "alive")).value == "alive"
        assert not work.began
        assert add_up(pool).cancelled == 1


async def test_many_cancelled_futures_are_passed_over_at_once():
    async with Pool(1, queue=5_000) as pool:
        first = await pool.submit(Work(1))
        futures = [await pool.submit(Work(1)) for _ in range(5_000)]

        def end(_):
            for future in futures:
                future.cancel()

        first.add_done_callback(end)
        await pool.drain()
        assert add_up(pool).cancelled >= 4_999


async def test_tasks_are_cancelled_by_id_and_their_futures_have_the_result():
    async with Pool(1) as pool:
        futures = [await pool.submit(Work(5, name), id=name) for name in ("runs", "stays", "waits")]
        await asyncio.sleep(1)
        assert [pool.cancel(name) for name in ("runs", "waits", "unknown")] == [True, True, False]
        assert [(await future).status for future in futures] == ["cancelled", "succeeded", "cancelled"]
        assert not pool.cancel("runs")
    add_up(pool)


async def test_what_a_cancelled_task_has_paid_for_is_in_its_result():
    ended = []
    async with Pool(on_event=ended.append) as pool:
        future = await pool.submit(parallel(provider("echo:")("paid"), Work(50)))
        await asyncio.sleep(1)
        future.cancel()
    (result,) = [event.result for event in ended if isinstance(event, TaskEnded)]
    assert (result.status, result.error.category) == ("cancelled", Category.CANCELLED)
    assert [(child.status, len(child.attempts)) for child in result.children] == [
        ("succeeded", 1),
        ("cancelled", 0),
    ]
