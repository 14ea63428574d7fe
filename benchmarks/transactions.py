"""What a partition costs in exactly-once mode: ``python -m benchmarks.transactions``.

One worker, started as anybody would, over more and more partitions, all of them busy. First tasks come at a steady
rate, so that the cadence decides how many transactions there are: a partition's come every 100 ms, or every 5 ms times
the number of partitions, whichever is longer, as long as the worker keeps up. Then all that it can take. Counted from
outside: the kernel's CPU time, the sockets that are open, and the offsets of the output, in which every transaction
leaves one more than it has results. Memory is that of a worker that has its partitions and nothing to do.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.json import encode

from benchmarks.end_to_end.__main__ import broker
from benchmarks.end_to_end.peers import Process
from streamer.kafka.connection import Connection
from streamer.kafka.topics import Wanted, ensure
from streamer.kafka.transactions import EVERY, PER_PARTITION

DELIVERIES = ("exactly-once", "at-least-once")
SETTLE = 3.0


class Sample(NamedTuple):
    """What is seen from outside at a moment."""

    time: float
    cpu: float
    results: int
    offsets: int


class Run:
    """A worker of a mode, on topics with so many partitions."""

    def __init__(self, bootstrap: str, delivery: str, partitions: int) -> None:
        self.bootstrap = bootstrap
        self.delivery = delivery
        self.partitions = partitions
        self.name = f"bench-transactions-{partitions}-{uuid.uuid4().hex[:8]}"
        self.output = f"{self.name}-output"
        self.sent = self.results = 0

    async def measure(self, rate: int, seconds: float, count: int) -> str:
        """A row of the table."""
        wanted = [Wanted(name, self.partitions, {}, "input") for name in (self.name, self.output)]
        await ensure(Connection(bootstrap_servers=self.bootstrap), wanted, say=lambda _: None)
        flags = ("--bootstrap-servers", self.bootstrap, "--input", self.name, "--output", self.output)
        mode = ("--group", self.name, "--delivery", self.delivery)
        command = [sys.executable, "-m", "streamer", "run", "topologies/tasks.py", *flags, *mode]
        self.consumer = AIOKafkaConsumer(
            self.output,
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        async with self.consumer, AIOKafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=5) as producer:
            reading = asyncio.create_task(self.read())
            self.process = Process(command, {})
            try:
                await self.send(producer, self.partitions)
                await self.answered()
                await asyncio.sleep(SETTLE)
                idle = f"{self.resident():6.1f} {self.sockets():6}"
                begin = await self.sample()
                await self.steadily(producer, rate, seconds)
                steady = self.steady(begin, await self.sample())
                await self.answered()
                begin = await self.sample()
                await self.send(producer, count)
                await self.answered()
                most = self.most(begin, await self.sample())
            finally:
                reading.cancel()
                await asyncio.to_thread(self.process.stop)
        return f"{self.delivery:14} {self.partitions:4} {idle} {steady} {most}"

    async def read(self) -> None:
        while True:
            for records in (await self.consumer.getmany(timeout_ms=20)).values():
                self.results += len(records)

    async def send(self, producer: AIOKafkaProducer, count: int) -> None:
        """So many tasks, to all partitions in turn."""
        for number in range(self.sent, self.sent + count):
            task = {"id": f"t{number}", "kind": "llm", "model": "echo:", "prompt": "x"}
            await producer.send(self.name, encode(task), partition=number % self.partitions)
        await producer.flush()
        self.sent += count

    async def steadily(self, producer: AIOKafkaProducer, rate: int, seconds: float) -> None:
        """So many tasks a second."""
        begin, before = time.monotonic(), self.sent
        while (spent := time.monotonic() - begin) < seconds:
            await self.send(producer, int(spent * rate) - (self.sent - before))
            await asyncio.sleep(0.01)

    async def answered(self, seconds: float = 120) -> None:
        """Wait until every task has its result."""
        async with asyncio.timeout(seconds):
            while self.results < self.sent:
                if not self.process.alive:
                    raise SystemExit(f"The worker has ended: {self.process.tail()}")
                await asyncio.sleep(0.02)

    async def sample(self) -> Sample:
        tps = [TopicPartition(self.output, number) for number in range(self.partitions)]
        offsets = sum((await self.consumer.end_offsets(tps)).values())
        return Sample(time.monotonic(), self.process.cpu_seconds(), self.results, offsets)

    def steady(self, begin: Sample, end: Sample) -> str:
        """Transactions a second, over what the cadence would have; CPU for each; share of a core."""
        seconds, cpu = end.time - begin.time, end.cpu - begin.cpu
        count = (end.offsets - begin.offsets) - (end.results - begin.results)
        due = self.partitions / max(EVERY, PER_PARTITION * self.partitions)
        if self.delivery != "exactly-once":
            return f"{'-':>7} {'-':>6} {'-':>7} {cpu / seconds:6.2f}"
        each = 1_000 * cpu / max(1, count)
        return f"{count / seconds:7.1f} {due:6.0f} {each:7.2f} {cpu / seconds:6.2f}"

    def most(self, begin: Sample, end: Sample) -> str:
        """Tasks a second, when all are there at once."""
        return f"{(end.results - begin.results) / (end.time - begin.time):9.0f}"

    def resident(self) -> float:
        """MB."""
        for line in Path(f"/proc/{self.process.popen.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1_000
        return 0.0

    def sockets(self) -> int:
        found = Path(f"/proc/{self.process.popen.pid}/fd").iterdir()
        return sum(str(handle.readlink()).startswith("socket:") for handle in found)


HEAD = """\
                    idle             at a steady rate                     all at once
mode           parts     MB sockets  txn/s    due  ms CPU  cores   tasks/s
                                                  per txn"""


async def main(bootstrap: str, said: argparse.Namespace) -> None:
    print(HEAD, flush=True)
    for partitions in said.partitions:
        for delivery in said.delivery:
            run = Run(bootstrap, delivery, partitions)
            print(await run.measure(said.rate, said.seconds, said.tasks), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.transactions", description=__doc__)
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--delivery", choices=DELIVERIES, nargs="+", default=DELIVERIES)
    parser.add_argument(
        "--rate", type=int, default=600, help="tasks a second while it is steady; by default 600"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="how long that lasts; by default 10")
    parser.add_argument("--tasks", type=int, default=20_000, help="how many come at once; by default 20000")
    parser.add_argument(
        "--bootstrap-servers", metavar="HOST:PORT", help="a broker on this machine; else one is started"
    )
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # of topics that were made a moment ago
    arguments = parser.parse_args()
    with broker(arguments.bootstrap_servers, "unknown") as (address, *_):
        asyncio.run(main(address, arguments))
