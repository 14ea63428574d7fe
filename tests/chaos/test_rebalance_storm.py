"""Workers that come and go all the time, while keyed tasks come steadily."""

import asyncio
import random
import time
from collections import Counter, defaultdict

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec.json import decode, encode

from tests.chaos.processes import DELIVERIES, STORM, Process, Site, question
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(900)]

RATE, BURST = 30, 20
"""Tasks a second, of which every tenth has the hot key; and so many more of that one at the end, at once."""
MODEL = ("--latency", "uniform(0.05,0.15)", "--plan", "status=0.1", "--seed", "17")
RETRY = {"max_attempts": 6, "initial_delay": 0.1, "max_delay": 0.5}
KEYS, EVERY, WINDOW = 100, 2.0, 3.0
MOST = 4
"""Workers at once."""


class Load:
    """Tasks at a steady rate, and their results as readers of what is committed see them."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.keys: list[str] = []
        """Of the tasks that were sent, by number."""
        self.burst = 0
        self.ended = asyncio.Event()
        self.published: dict[str, list[int]] = defaultdict(list)
        """The numbers of the tasks of each key, in the order in which their results were published."""
        self.first: dict[int, float] = {}
        """When a task's result was there."""

    async def send(self) -> None:
        """Produce until the end, every task in its turn; a burst is of the hot key alone."""
        start, steady = time.monotonic(), 0
        async with AIOKafkaProducer(bootstrap_servers=self.rig.bootstrap, linger_ms=10) as producer:
            while not self.ended.is_set():
                due = int((time.monotonic() - start) * RATE)
                keys = ["hot" if n % 10 == 0 else f"key {n * 7 % KEYS}" for n in range(steady, due)]
                for key in keys + ["hot"] * self.burst:
                    task = question(len(self.keys), retry=RETRY)
                    self.keys.append(key)
                    await producer.send(self.rig.name, encode(task), key=key.encode())
                steady, self.burst = due, 0
                await asyncio.sleep(0.05)

    async def read(self) -> None:
        """Note what is published until cancelled."""
        consumer = AIOKafkaConsumer(
            self.rig.output,
            bootstrap_servers=self.rig.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        async with consumer:
            while True:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        number = int(decode(record.value)["task_id"][1:])
                        self.published[self.keys[number]].append(number)
                        self.first.setdefault(number, time.monotonic())

    def missing(self, *, hot: bool) -> int:
        """How many tasks that were sent have no result yet: of the hot key, or of the others."""
        return sum((key == "hot") is hot and n not in self.first for n, key in enumerate(self.keys))

    async def until(self, most: int, *, hot: bool, seconds: float = 120) -> None:
        """Wait until no more than so many are missing."""
        end = time.monotonic() + seconds
        while (missing := self.missing(hot=hot)) > most:
            assert time.monotonic() < end, f"{missing} results are missing after {seconds:g} s, hot: {hot}"
            await asyncio.sleep(0.1)

    async def until_finished(self, wanted: int) -> None:
        """Wait for so many tasks: all is under way."""
        while len(self.first) < wanted:
            await asyncio.sleep(0.1)

    async def window(self) -> int:
        """How many tasks of ordinary keys are finished in some seconds."""
        begin = time.monotonic()
        await asyncio.sleep(WINDOW)
        return sum(at >= begin and self.keys[number] != "hot" for number, at in list(self.first.items()))


class Storm:
    """A crowd of workers of which one joins or leaves at a time; who leaves is told to, or killed."""

    def __init__(self, site: Site, url: str, delivery: str) -> None:
        self.site = site
        self.flags = {
            "url": url,
            "delivery": delivery,
            "STREAMER_ORDERING": "key",
            "STREAMER_CONCURRENCY": "20",
        }
        self.chance = random.Random(29)
        self.workers: list[Process] = []
        self.changes: Counter[str] = Counter()

    @property
    def crowd(self) -> int:
        """How many workers there are, or will be in a moment."""
        return 2 * self.changes["joined"] - self.changes.total()

    async def join(self) -> None:
        self.changes["joined"] += 1
        self.workers.append(await self.site.worker(**self.flags))

    async def leave(self, *, kill: bool = False) -> None:
        self.changes["killed" if kill else "told to end"] += 1
        worker = self.workers.pop(self.chance.randrange(len(self.workers)))
        if kill:
            await worker.kill()
        else:
            assert await worker.terminate() == 0

    async def rage(self, seconds: float) -> None:
        """Every two seconds one joins or leaves, whatever has become of the one before."""
        async with asyncio.TaskGroup() as changes:
            for _ in range(int(seconds / EVERY)):
                may_leave = self.workers and self.crowd > 1
                if not may_leave or (self.crowd < MOST and self.chance.random() < 0.5):
                    changes.create_task(self.join())
                else:
                    changes.create_task(self.leave(kill=self.chance.random() < 0.4))
                await asyncio.sleep(EVERY)

    async def become(self, wanted: int) -> None:
        while self.crowd < wanted:
            await self.join()
        while self.crowd > wanted:
            await self.leave()


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_storm_of_rebalances_loses_nothing_and_keeps_every_key_in_order(site: Site, delivery: str):
    """None lost, exactly-once none twice, no key out of order; afterwards as many are finished as before.

    That is a ratio of two windows of the same length and the same load. No result is published before those of all
    earlier tasks of its key; exactly-once, their order is that of the input. And with a burst of the hot key in
    front of them the others are all answered while it has still work to do.
    """
    url, _ = await site.model_server(*MODEL)
    storm, load = Storm(site, url, delivery), Load(site.rig)
    await storm.become(2)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(load.read())
        sending = group.create_task(load.send())
        await load.until_finished(3 * RATE)
        before = await load.window()
        await storm.rage(STORM)
        await storm.become(2)
        await load.until(RATE, hot=False)
        after = await load.window()
        load.burst = BURST
        await asyncio.sleep(1)
        load.ended.set()
        await sending
        await load.until(0, hot=False)
        hot = load.missing(hot=True)
        await load.until(0, hot=True)
        await site.rig.all_committed()
        await asyncio.sleep(1)
        reading.cancel()
    await storm.become(0)
    results = sum(len(numbers) for numbers in load.published.values())
    print(
        f"{delivery}: {len(load.keys)} tasks, {dict(storm.changes)}, {results} results, in {WINDOW:g} s {before} before "
        f"and {after} after; {hot} of the hot key were left when all others were answered"
    )
    assert set(load.first) == set(range(len(load.keys)))
    for key, numbers in load.published.items():
        seen = numbers if delivery == "exactly-once" else list(dict.fromkeys(numbers))
        assert seen == [number for number, its in enumerate(load.keys) if its == key], key
    assert after > before / 2
    assert hot > 0
