"""The journals of a worker's partitions: opened with them, asked and told by their tasks, let go with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streamer.kafka.connection import Connection
from streamer.kafka.journal.entries import origin
from streamer.kafka.journal.log import Log
from streamer.kafka.journal.memory import Standing, TaskMemory
from streamer.kafka.journal.reading import owned
from streamer.kafka.journal.restoring import restore
from streamer.kafka.journal.truncation import Truncation, committed
from streamer.kafka.journal.writer import JournalWriter
from streamer.kafka.opening import Opening
from streamer.kafka.partition import Partition
from streamer.kafka.record import Record
from streamer.kafka.topics import grow

EVERY = 1.0


class Journals:
    """One topic, partitioned like the input, one log per partition that is ours."""

    def __init__(
        self,
        connection: Connection,
        make_producer: Callable[[], AIOKafkaProducer],
        make_reader: Callable[[], AIOKafkaConsumer],
        topic: str,
        group: str,
        warn: Callable[[str], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self.connection = connection
        self.make_reader = make_reader
        self.topic = topic
        self.group = group
        self.warn = warn
        self.writer = JournalWriter(make_producer, topic, warn, fail)
        self.truncation = Truncation(connection, topic, warn)
        self.loop = asyncio.get_running_loop()
        self.due = self.loop.time() + EVERY

    async def start(self) -> None:
        """Connect."""
        await self.writer.start()

    async def restore(self, opening: list[Opening]) -> dict[Partition, Log]:
        """What is remembered of the unfinished tasks of partitions that are about to be opened."""
        if not opening:
            return {}
        highest = max(partition.number for partition, *_ in opening)
        if self.count() <= highest:
            there = await self.writer.producing.producer.partitions_for(opening[0].partition.topic)
            await grow(self.connection, self.topic, max(highest + 1, len(there)))
            await self.writer.producing.renew()
        owners = {
            partition.number: owned(
                restored, start.unfinished, nonce, origin(self.group, partition.topic, identity)
            )
            for partition, restored, start, nonce, identity in opening
        }
        channels = await restore(self.make_reader, self.writer, owners, self.warn)
        return {partition: channels[partition.number].log for partition, *_ in opening}

    def count(self) -> int:
        """How many partitions the topic has, as far as is known: as many as the input had when one was opened."""
        return self.writer.producing.partitions_of(self.topic)

    def memory(
        self,
        record: Record,
        membership: Standing,
        park: Callable[[Record], None],
        unpark: Callable[[Record], None],
    ) -> TaskMemory | None:
        """What its task may ask and tell; None where its partition has no journal any more."""
        channel = self.writer.channels.get(record.partition.number)
        if channel is None or channel.log is not record.partition.journal:
            return None
        return TaskMemory(record, channel, membership, park=park, unpark=unpark)

    def release(self, partition: Partition) -> None:
        """The partition is no longer ours."""
        channel = self.writer.channels.get(partition.number)
        if channel is not None and channel.log is partition.journal:
            self.writer.release(channel)

    async def flush(self, seconds: float) -> None:
        """Whoever has the partitions next finds all that was noted; bounded in time."""
        await self.writer.flush(seconds)

    def tick(self, partitions: Iterable[Partition]) -> None:
        """To be called often: what grew old is written again, what nobody needs is deleted."""
        now = self.loop.time()
        if now < self.due:
            return
        self.due = now + EVERY
        self.writer.tend()
        self.truncation.tick(lambda: committed(partitions))

    async def close(self, seconds: float) -> None:
        """Stop writing, bounded in time."""
        self.truncation.close()
        await self.writer.close(seconds)
