"""A worker on a broker, with topics of its own, seen from outside: what goes in, what comes out, what is committed."""

import asyncio
import json
import time
from collections.abc import Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition

from streamer import Topology
from streamer.kafka import adapter
from streamer.kafka.connection import Connection
from streamer.kafka.topics import Wanted, ensure
from streamer.settings import resolve
from streamer.worker import Worker


@dataclass
class Out:
    """A record of an output topic."""

    partition: int
    offset: int
    key: bytes | None
    value: Any
    headers: dict[str, bytes]


@dataclass
class Rig:
    """Topics ``NAME``, ``NAME-results`` and ``NAME.dead-letters`` on one broker."""

    bootstrap: str
    name: str
    partitions: int = 4
    delivery: str = "at-least-once"
    warnings: list[str] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        return Connection(bootstrap_servers=self.bootstrap)

    @property
    def output(self) -> str:
        return f"{self.name}-results"

    @property
    def dead_letters(self) -> str:
        return f"{self.name}.dead-letters"

    def topology(self, **settings: Any) -> Topology:
        return Topology(input=self.name, output=self.output, partitions=self.partitions, **settings)

    def warn(self, sentence: str) -> None:
        """Keep what is told, but for what every first start tells."""
        if " was missing; made " not in sentence:
            self.warnings.append(sentence)

    async def create(self) -> None:
        await ensure(self.connection, [Wanted(self.name, self.partitions, {}, "input")])

    @asynccontextmanager
    async def worker(self, topology: Topology | None = None, *, ready: bool = True, **settings: Any):
        topology = topology or self.topology()
        resolved = resolve(
            {"bootstrap_servers": self.bootstrap, "delivery": self.delivery, **settings},
            topology.settings,
            {},
        )
        worker = Worker(topology, resolved.settings, self.connection, warn=self.warn)
        await worker.start()
        try:
            if ready:
                await asyncio.wait_for(worker.ready(), 30)
            yield worker
        finally:
            await worker.stop()
            with suppress(Exception):
                worker.sink.finished.exception()

    async def all_assigned(self, *workers: Worker, seconds: float = 30) -> None:
        """Wait until these workers, and no others, have all partitions open between them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            held = [tp for w in workers for tp, partition in w.source.partitions.items() if partition.is_open]
            if len(held) == len(set(held)) == self.partitions and all(w.source.partitions for w in workers):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{held} of {self.partitions} partitions are open after {seconds} s")

    async def produce(
        self,
        values: Iterable[bytes | dict[str, Any] | None],
        *,
        key: Any = None,
        headers: list[tuple[str, bytes]] | None = None,
        partition: int | None = None,
        transactional_id: str | None = None,
    ) -> int:
        """Send values (objects as JSON); ``key`` is bytes, or a function of the value's number."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            linger_ms=10,
            max_request_size=20_000_000,
            max_batch_size=1_000_000,
            transactional_id=transactional_id,
        )
        await producer.start()
        count = 0
        try:
            if transactional_id:
                await producer.begin_transaction()
            for number, value in enumerate(values):
                data = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
                this_key = key(number) if callable(key) else key
                await producer.send(self.name, data, key=this_key, headers=headers, partition=partition)
                count += 1
            if transactional_id:
                await producer.commit_transaction()
        finally:
            await producer.stop()
        return count

    async def read(
        self,
        count: int,
        *,
        topic: str | None = None,
        seconds: float = 60,
        settle: float = 0.0,
        distinct: bool = False,
    ) -> list[Out]:
        """The first ``count`` records of a topic, and what comes within ``settle`` seconds after them.

        With ``distinct`` it waits for so many tasks, however many results they have.
        """
        topic = topic or self.output
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=20_000_000,
        )
        await consumer.start()
        found: list[Out] = []
        end = time.monotonic() + seconds
        settled = None
        try:
            while time.monotonic() < end:
                if (len({out.value["task_id"] for out in found}) if distinct else len(found)) >= count:
                    settled = settled or time.monotonic() + settle
                    if time.monotonic() >= settled:
                        return found
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += [Out(r.partition, r.offset, r.key, decoded(r), dict(r.headers)) for r in records]
        finally:
            await consumer.stop()
        raise AssertionError(f"{len(found)} of {count} records in {topic} after {seconds} s; {self.warnings}")

    async def committed(self, group: str | None = None) -> dict[int, tuple[int, str]]:
        """What the group has committed, by partition: offset and metadata."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=group or self.name)
        await consumer.start()
        try:
            tps = [TopicPartition(self.name, number) for number in range(self.partitions)]
            found = await adapter.committed(consumer, tps)
        finally:
            await consumer.stop()
        return {tp.partition: value for tp, value in found.items()}

    async def commit(self, offset: int, metadata: str, partition: int = 0) -> None:
        """Commit for the group, as an operator's tool does while nobody is in it."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=self.name, enable_auto_commit=False
        )
        await consumer.start()
        try:
            tp = TopicPartition(self.name, partition)
            consumer.assign([tp])
            await consumer.commit({tp: OffsetAndMetadata(offset, metadata)})
        finally:
            await consumer.stop()

    async def ends(self, topic: str | None = None) -> dict[int, int]:
        """The log end offsets."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        try:
            tps = [TopicPartition(topic or self.name, number) for number in range(self.partitions)]
            return {tp.partition: end for tp, end in (await consumer.end_offsets(tps)).items()}
        finally:
            await consumer.stop()

    async def all_committed(self, seconds: float = 20) -> None:
        """Wait until the committed offsets are the end offsets; markers of ended transactions may still be written."""
        ends = await self.ends()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            committed = {number: offset for number, (offset, _) in (await self.committed()).items()}
            if all(committed.get(number, 0) == at for number, at in ends.items()):
                return
            if any(committed.get(number, 0) > at for number, at in ends.items()):
                ends = await self.ends()
            await asyncio.sleep(0.1)
        raise AssertionError(f"committed {committed}, ends {ends}")


def decoded(record: Any) -> Any:
    headers = dict(record.headers)
    if headers.get("content-type") == b"application/msgpack":
        return msgspec.msgpack.decode(record.value)
    try:
        return json.loads(record.value) if record.value is not None else None
    except (ValueError, RecursionError):
        return record.value
