"""The producer that sink and journal write with: one each, made anew when it can no longer be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import InvalidMessageError, KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from streamer.kafka import adapter

START_WITHIN = 10.0
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidMessageError)


class Producing:
    """Holds the producer. ``troubled``: behind a batch that failed, its sequence numbers have a gap."""

    def __init__(self, make: Callable[[], AIOKafkaProducer]) -> None:
        self.make = make
        self.started: AIOKafkaProducer | None = None
        self.topics: list[str] = []
        self.troubled = False

    @property
    def producer(self) -> AIOKafkaProducer:
        assert self.started is not None, "start() comes first"
        return self.started

    async def start(self, topics: list[str]) -> None:
        """Connect, and learn of the topics."""
        self.topics = topics
        self.started = await self.connected()

    async def connected(self) -> AIOKafkaProducer:
        """A new producer, or the error that there is none."""
        fresh = self.make()
        try:
            await asyncio.wait_for(fresh.start(), START_WITHIN)
            for topic in self.topics:
                await fresh.partitions_for(topic)
        except BaseException:
            await stop(fresh, START_WITHIN)
            raise
        return fresh

    async def renew(self) -> bool:
        """Replace it; False while the cluster is not there."""
        old = self.producer
        try:
            self.started = await self.connected()
        except (KafkaError, OSError, TimeoutError):
            return False
        self.troubled = False
        await stop(old, START_WITHIN)
        return True

    def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has, as far as is known."""
        return adapter.partitions_of(self.producer, topic) or 1

    async def close(self, seconds: float) -> None:
        """Disconnect, bounded in time."""
        if self.started is not None:
            await stop(self.started, seconds)


async def stop(client: AIOKafkaProducer | AIOKafkaConsumer, seconds: float) -> None:
    """Stop a client, which by itself would wait without end: a producer for its batches, say."""
    if isinstance(client, AIOKafkaProducer):
        adapter.forsake(client)
    stopping = adapter.unheeded(asyncio.get_running_loop().create_task(client.stop()))
    await asyncio.wait((stopping,), timeout=seconds)
    if not stopping.done():
        stopping.cancel()
