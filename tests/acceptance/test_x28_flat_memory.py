"""X28: a million items from a lazy source, a hundred at once: memory stays flat, by less than 50 MB."""

import asyncio
import resource

import pytest

from streamer import Engine, concurrent_map, map

pytestmark = [pytest.mark.virtual_time, pytest.mark.timeout(300)]

COUNT, CONCURRENCY, GROWTH = 1_000_000, 100, 50_000_000


class Source:
    """Yields a million items, each with some weight, and watches how much the process has meanwhile.

    ``ahead`` is how many were read at most and not yet worked at: a source that is read as there is room is never
    far ahead.
    """

    def __init__(self) -> None:
        self.read = self.begun = self.running = self.ahead = self.peak = 0
        self.before = self.most = memory()

    def __iter__(self):
        for number in range(COUNT):
            self.read += 1
            self.ahead = max(self.ahead, self.read - self.begun)
            if number % 10_000 == 0:
                self.most = max(self.most, memory())
            yield number, bytes(100)

    async def work(self, item):
        """Suspends once, so that a hundred really are under way."""
        self.begun += 1
        self.running += 1
        self.peak = max(self.peak, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        return item[0]

    def check(self, done: int) -> None:
        assert done == self.read == self.begun == COUNT
        assert self.peak == CONCURRENCY
        assert self.ahead <= 2 * CONCURRENCY + 1
        assert max(self.most, memory()) - self.before < GROWTH


def memory() -> int:
    """Bytes that the process has in memory."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * resource.getpagesize()


async def test_x28_map():
    source = Source()
    source.check(await map(source.work, iter(source), concurrency=CONCURRENCY, reduce="count"))


async def test_x28_concurrent_map():
    source, end = Source(), asyncio.get_running_loop().create_future()
    done = 0

    def count(_):
        nonlocal done
        done += 1

    concurrent_map(source.work, CONCURRENCY)(iter(source)).subscribe(
        count, end.set_exception, lambda: end.set_result(None)
    )
    await end
    source.check(done)


async def test_x28_engine_stream():
    source = Source()
    done = 0
    async for result in Engine(source.work).stream(iter(source), concurrency=CONCURRENCY):
        done += result.succeeded
    source.check(done)
