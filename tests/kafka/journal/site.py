"""A journal on a broker, and workers that own its partitions for a while."""

import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streamer.kafka.connection import Connection
from streamer.kafka.journal.channel import Channel
from streamer.kafka.journal.entries import Noted, decode
from streamer.kafka.journal.reading import Owned
from streamer.kafka.journal.restoring import restore
from streamer.kafka.journal.writer import JournalWriter
from streamer.kafka.outlet import BATCH_BYTES
from streamer.kafka.topics import Wanted, ensure


def everything(offset: int) -> bool:
    return True


@dataclass
class Site:
    """Workers come and crash; what they warn of is kept, what is a bug raises."""

    bootstrap: str
    topic: str
    partitions: int = 2
    warnings: list[str] = field(default_factory=list)
    writers: list[JournalWriter] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        return Connection(bootstrap_servers=self.bootstrap)

    async def create(self, **config: str) -> None:
        config = {"cleanup.policy": "delete"} | {k.replace("_", "."): v for k, v in config.items()}
        await ensure(self.connection, [Wanted(self.topic, self.partitions, config, "journal")])

    def producer(self, **settings: Any) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            enable_idempotence=True,
            acks="all",
            max_batch_size=BATCH_BYTES,
            max_request_size=16_777_216,
            **settings,
        )

    def consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )

    async def writer(self, **settings: Any) -> JournalWriter:
        writer = JournalWriter(
            lambda: self.producer(**settings), self.topic, self.warnings.append, self.failed
        )
        await writer.start()
        self.writers.append(writer)
        return writer

    def failed(self, error: Exception) -> None:
        raise error

    async def own(
        self,
        *numbers: int,
        low_water: int | None = None,
        unfinished: Callable[[int], bool] = everything,
        writer: JournalWriter | None = None,
        origin: bytes = b"origin--",
        after: bytes | None = None,
    ) -> dict[int, Channel]:
        """A worker opens partitions; it crashes by being forgotten."""
        writer = writer or await self.writer()
        owned = {
            number: Owned(uuid.uuid4().bytes[:8], origin, after, low_water, unfinished)
            for number in numbers or (0,)
        }
        return await restore(self.consumer, writer, owned, self.warnings.append)

    async def noted(self, number: int = 0) -> list[Noted]:
        """All notes of a partition, whoever they are of."""
        tp = TopicPartition(self.topic, number)
        consumer = self.consumer()
        await consumer.start()
        try:
            consumer.assign([tp])
            end = (await consumer.end_offsets([tp]))[tp]
            found = []
            while await consumer.position(tp) < end:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += [decode(record.value) for record in records]
        finally:
            await consumer.stop()
        return [entry for entry in found if isinstance(entry, Noted)]

    async def close(self) -> None:
        for writer in self.writers:
            with suppress(Exception):
                await writer.close(2.0)


def recalled(channel: Channel, offsets: Iterable[int], number: int = 1) -> dict[int, int]:
    """The serial numbers of what is known of these offsets."""
    found = {offset: channel.log.recall(offset, "a", number) for offset in offsets}
    return {offset: int.from_bytes(one.digest) for offset, one in found.items() if one is not None}
