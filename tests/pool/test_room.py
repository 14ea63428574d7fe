"""Who begins first, and what happens without room."""

import asyncio

import pytest

from streamer import Pool
from streamer.errors import QueueFull
from tests.operators.doubles import Work, now
from tests.pool.adding import add_up


async def test_higher_priority_begins_first_among_those_that_wait():
    began = []
    async with Pool(1) as pool:
        await pool.submit(Work(1))
        for priority in (0, 5, -5, 5):
            await pool.submit(lambda p=priority: began.append(p), priority=priority)
    assert began == [5, 5, 0, -5]


async def test_low_priority_is_not_starved_by_a_stream_of_higher():
    async with Pool(1) as pool:
        await pool.submit(Work(1))
        low = await pool.submit(Work(1))
        while not low.done():
            await pool.submit(Work(1), priority=3)
            await asyncio.sleep(1)
        assert (await low).queue_time <= 32


async def test_submit_waits_for_room_in_turn():
    async with Pool(1, queue=1) as pool:
        began = []
        submitting = [asyncio.ensure_future(pool.submit(Work(1), id=str(number))) for number in range(5)]
        for number, each in enumerate(submitting):
            await (await each)
            began.append((number, now()))
    assert began == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


@pytest.mark.parametrize("when_full", ["wait", "refuse"])
async def test_without_room_it_refuses_where_it_is_not_to_wait(when_full):
    async with Pool(1, queue=1, when_full=when_full) as pool:
        await pool.submit(Work(1))
        await pool.submit(Work(1))
        with pytest.raises(QueueFull, match="1 workers and a queue of 1"):
            pool.submit_nowait(Work(1))
        if when_full == "refuse":
            with pytest.raises(QueueFull):
                await pool.submit(Work(1))
        assert add_up(pool).submitted == 2


async def test_a_submission_cancelled_while_it_waits_for_room_never_begins():
    work = Work(1)
    async with Pool(1, queue=1) as pool:
        await pool.submit(Work(1))
        await pool.submit(Work(1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.submit(work), 0.5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.submit(work), 0.5)  # to the instant when there is room
    assert not work.began
    add_up(pool)
