"""The jumping clock: time passes at once, threads are waited for, what is stuck is told."""

import asyncio
import threading
import time

import pytest

from streamer.providers.function import FunctionTarget
from streamer.testing import clock
from streamer.testing.clock import JumpingLoop, Stuck, run

pytestmark = pytest.mark.virtual_time


async def test_a_day_passes_at_once():
    """Timers fire in order, at their own instants."""
    loop = asyncio.get_running_loop()
    seen = []

    async def after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append(loop.time())

    await asyncio.gather(*(after(seconds) for seconds in (86_400 * 3, 0.5, 2)))
    assert seen == [0.5, 2.0, 86_400 * 3]


@pytest.mark.parametrize("round", range(20))
async def test_a_quick_thread_is_done_before_the_next_timer(round):
    """Of the loop's own executor, though the timer is due in no time."""
    async with asyncio.timeout(0.001):
        assert await asyncio.to_thread(lambda: 1) == 1
    assert asyncio.get_running_loop().time() == 0


async def test_a_quick_function_is_done_before_the_next_timer():
    """Registered functions have threads of their own."""
    async with asyncio.timeout(0.001):
        assert await FunctionTarget(lambda: 1, "one")() == 1


async def test_a_stuck_thread_does_not_stop_the_clock():
    release = threading.Event()
    stuck = asyncio.ensure_future(asyncio.to_thread(release.wait))
    await asyncio.sleep(3600)
    assert not stuck.done()
    release.set()
    assert await stuck


async def test_a_slow_thread_is_waited_for_where_there_is_no_timer():
    """Nothing else can happen."""
    await asyncio.to_thread(time.sleep, 0.05)


async def test_a_thread_whose_future_was_cancelled_is_no_longer_counted():
    waiting = asyncio.ensure_future(asyncio.to_thread(time.sleep, 0.01))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(1)
    time.sleep(0.05)
    assert clock.threads.count == 0


async def test_an_error_of_a_thread_is_its_own():
    def fail() -> None:
        raise KeyError("a")

    with pytest.raises(KeyError):
        await asyncio.to_thread(fail)
    assert clock.threads.count == 0


def test_a_loop_in_which_nothing_can_happen_is_stuck(monkeypatch):
    """Instead of hanging for ever."""
    monkeypatch.setattr(clock, "STUCK", 0.01)
    with pytest.raises(Stuck):
        run(asyncio.Event().wait())


def test_thread_pools_are_as_before_when_no_loop_runs():
    before = clock.ThreadPoolExecutor.submit
    assert run(asyncio.to_thread(lambda: 7)) == 7
    assert clock.ThreadPoolExecutor.submit is before


def test_waiting_for_real_is_measured():
    """What the suite's own fixture goes by."""
    loop = JumpingLoop()
    try:
        loop.run_until_complete(asyncio.sleep(1000))
        assert loop.waited < 0.01
        loop.run_until_complete(loop.run_in_executor(None, time.sleep, 0.03))
        assert loop.waited > 0.02
    finally:
        loop.close()
