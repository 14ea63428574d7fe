"""A soak: two workers under a steady load, with everything that goes wrong on an ordinary day.

``python -m tests.chaos.soak --minutes 10`` starts two workers on a broker of the tests, and a model server of
which some calls fail, hang or are cut short. Tasks come at a steady rate, after a burst that fills every slot;
in each sixth of the time, or each minute if that is less, a third worker joins and leaves again, so that
partitions move. Every five seconds the memory and the open handles of both workers are sampled. At the end there
is a table; the exit code is 1 when either grew by more than what the table says, from the median of the second
sixth of the time to that of the last, or when a task has no result, or in exactly-once mode two. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
from pathlib import Path
from statistics import median

from aiokafka import AIOKafkaProducer
from msgspec.json import encode

from tests.brokers import start_broker
from tests.chaos.processes import DELIVERIES, Process, Site, question
from tests.chaos.reading import Reader
from tests.chaos.resources import handles, resident
from tests.kafka.rig import Rig

EVERY, BURST = 5.0, 15.0
"""Seconds: between samples, and worth of tasks that come at once."""
MEMORY, SHARE, HANDLES = 4.0, 0.05, 16.0
"""What a worker may gain: MB or that share of what it had, whichever is more, and files and sockets."""
FAULTS = (
    *("--latency", "lognormal(0.3,0.5)", "--seed", "1"),
    *("--error-rate", "0.05", "--hang-rate", "0.01", "--truncation-rate", "0.02"),
)
TASK = {"timeout": 5, "retry": {"max_attempts": 8, "initial_delay": 0.2, "max_delay": 2}}


class Samples:
    """What one worker took, over time."""

    def __init__(self, worker: Process) -> None:
        self.pid = worker.process.pid
        self.memory: list[float] = []
        self.handles: list[float] = []

    def take(self) -> None:
        self.memory.append(resident(self.pid))
        self.handles.append(handles(self.pid))


async def produce(rig: Rig, rate: float, ended: asyncio.Event) -> int:
    """Send a burst, then tasks at a steady rate until the end; how many."""
    loop = asyncio.get_running_loop()
    start, count = loop.time() - BURST, 0
    async with AIOKafkaProducer(bootstrap_servers=rig.bootstrap, linger_ms=10) as producer:
        while not ended.is_set():
            due = int((loop.time() - start) * rate)
            for number in range(count, due):
                await producer.send(rig.name, encode(question(number, **TASK)))
            count = due
            await asyncio.sleep(0.1)
    return count


async def come_and_go(site: Site, url: str, delivery: str, seconds: float) -> None:
    """A third worker, for a third of the time."""
    loop, every = asyncio.get_running_loop(), min(60.0, seconds / 6)
    end = loop.time() + seconds
    while loop.time() + every <= end + 1:
        await asyncio.sleep(every * 2 / 3)
        guest = await site.worker(url, delivery=delivery)
        await asyncio.sleep(every / 3)
        assert await guest.terminate() == 0


async def soak(site: Site, minutes: float, rate: float, delivery: str) -> bool:
    """Whether all was well."""
    url, _ = await site.model_server(*FAULTS)
    workers = [await site.worker(url, delivery=delivery) for _ in range(2)]
    samples = [Samples(worker) for worker in workers]
    ended = asyncio.Event()
    async with Reader(site.rig) as reader:
        producing = asyncio.create_task(produce(site.rig, rate, ended))
        guests = asyncio.create_task(come_and_go(site, url, delivery, 60 * minutes))
        for _ in range(int(minutes * 60 / EVERY)):
            await asyncio.sleep(EVERY)
            for task in (producing, guests):
                if task.done():
                    task.result()
            for sample in samples:
                sample.take()
        await guests
        ended.set()
        count = await producing
        await reader.until(count, 120)
        await site.rig.all_committed(60)
        codes = [await worker.terminate() for worker in workers]
    flat = [show(number, sample) for number, sample in enumerate(samples, 1)]
    lost, twice = count - len(reader.ids), len(reader.repeated)
    statuses = ", ".join(f"{number} {status}" for status, number in sorted(reader.statuses.items()))
    print(f"{count} tasks, {lost} without a result, {twice} with more than one: {statuses}")
    print(f"{len(site.seen.calls)} calls; exit codes {codes}")
    said = [line for process in site.processes for line in process.lines]
    print("\n".join(line for line in said if " warning " in line or "Traceback" in line))
    return all(flat) and not lost and not any(codes) and (delivery != "exactly-once" or not twice)


def show(number: int, samples: Samples) -> bool:
    """A worker's part of the table; whether it is flat."""
    rows = [("MB", samples.memory, MEMORY, SHARE), ("handles", samples.handles, HANDLES, 0.0)]
    flat = True
    for what, values, tolerance, share in rows:
        found = sixths(values)
        gained, allowed = found[-1] - found[1], max(tolerance, share * found[1])
        flat = flat and gained <= allowed
        print(
            f"worker {number}, {what:<8}",
            *(f"{value:7.1f}" for value in found),
            f"  most {max(values):.1f}, gained {gained:+.1f} of {allowed:+.1f} at most:",
            "flat" if gained <= allowed else "GREW",
        )
    return flat


def sixths(values: list[float]) -> list[float]:
    """The median of each sixth of the time."""
    bounds = [len(values) * part // 6 for part in range(7)]
    return [median(values[begin:end]) for begin, end in itertools.pairwise(bounds)]


async def main(minutes: float, rate: float, delivery: str) -> bool:
    """Run it on a broker of the tests."""
    broker = start_broker()
    try:
        with tempfile.TemporaryDirectory(prefix="soak-") as directory:
            site = Site(Rig(broker.bootstrap_servers, Path(directory).name), Path(directory))
            try:
                return await soak(site, minutes, rate, delivery)
            finally:
                for process in site.processes:
                    await process.close()
    finally:
        broker.close()


def length(text: str) -> float:
    """Minutes, enough of them for six medians."""
    minutes = float(text)
    if not 0.5 <= minutes <= 24 * 60:
        raise argparse.ArgumentTypeError("half a minute to a day")
    return minutes


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=length, default=10.0)
    parser.add_argument("--rate", type=float, default=100.0, help="tasks a second; by default 100")
    parser.add_argument("--delivery", choices=DELIVERIES, default=DELIVERIES[0])
    well = asyncio.run(main(**vars(parser.parse_args())))
    print("well" if well else "NOT WELL")
    sys.exit(0 if well else 1)
