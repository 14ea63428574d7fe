"""What a pool counts, and which settings it refuses."""

import asyncio

import pytest

from streamer import Pool
from streamer.errors import SettingsError
from streamer.pool import PoolStats
from streamer.tasks import Retry
from tests.operators.doubles import Work
from tests.pool.adding import add_up


async def test_stats_count_every_status_and_all_time_spent():
    async with Pool(10, timeout=5) as pool:
        for work in (Work(1), Work(2, error=ValueError()), Work(9)):
            await pool.submit(work)
        future = await pool.submit(Work(9))
        await asyncio.sleep(3)
        future.cancel()
        await pool.drain()
        assert add_up(pool) == PoolStats(
            submitted=4,
            succeeded=1,
            failed=1,
            timed_out=1,
            cancelled=1,
            skipped=0,
            queued=0,
            active=0,
            total_duration=1 + 2 + 5 + 3,
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers is a whole number of at least 1, not 0"),
        ({"workers": -1}, "workers"),
        ({"workers": True}, "workers"),
        ({"workers": 1.5}, "workers"),
        ({"queue": 0}, "queue is a whole number of at least 1, not 0"),
        ({"when_full": "drop"}, "when_full is 'wait' or 'refuse', not 'drop'"),
        ({"retry": 0}, "retry: .* >= 1"),
        ({"retry": True}, "retry"),
        ({"retry": Retry}, "retry"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"fallbacks": lambda: 1}, "fallbacks is a list"),
        ({"fallbacks": ["gpt"]}, "fallbacks"),
        ({"metadata": "user"}, "metadata is a mapping"),
        ({"metadata": {1: 2}}, "metadata"),
        ({"on_event": "print"}, "on_event"),
        ({"engine": "mine"}, "engine"),
    ],
)
async def test_bad_settings_are_errors_that_name_the_field_and_its_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Pool(**settings)
    if settings.keys() <= {"retry", "timeout", "fallbacks", "metadata"}:
        with pytest.raises(ValueError, match=message):
            await Pool().submit(Work(), **settings)


async def test_a_bad_priority_is_refused():
    for priority in (1.5, True, "high"):
        with pytest.raises(ValueError, match="priority is a whole number"):
            await Pool().submit(Work(), priority=priority)


async def test_a_pool_lives_on_one_loop():
    pool = Pool()
    await pool.submit_nowait(lambda: 1)

    async def elsewhere():
        with pytest.raises(RuntimeError, match="another event loop"):
            await pool.submit(lambda: 2)

    await asyncio.to_thread(asyncio.run, elsewhere())


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon", True])
async def test_a_drain_says_what_is_wrong_with_its_timeout(timeout):
    async with Pool(1) as pool:
        with pytest.raises(SettingsError, match="drain: timeout is a number of seconds of at least 0, not"):
            await pool.drain(timeout)
        with pytest.raises(SettingsError, match="tag is a text, not 5"):
            await pool.submit(lambda: 1, tag=5)
        await pool.submit(lambda: 1)
