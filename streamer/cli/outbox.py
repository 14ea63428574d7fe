"""Records on their way to a topic, a bounded number of them."""

from __future__ import annotations

import asyncio
from collections import deque

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streamer.errors import StreamerError
from streamer.kafka.dead_letters import Headers

UNDER_WAY = 2_000


class Outbox:
    """Sends, and counts what the broker acknowledged; an error names its line."""

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self.producer = producer
        self.topic = topic
        self.sent = 0
        self.waiting: deque[tuple[int, asyncio.Future[object]]] = deque()

    async def send(
        self, number: int, key: bytes | None, value: bytes, headers: Headers | None = None
    ) -> None:
        """Send one line; waits while too many are under way."""
        if len(self.waiting) >= UNDER_WAY:
            await self.acknowledged()
        try:
            self.waiting.append((number, await self.producer.send(self.topic, value, key, headers=headers)))
        except KafkaError as error:
            raise self.refused(number, error) from error

    async def flush(self) -> None:
        """Wait for all that is under way."""
        while self.waiting:
            await self.acknowledged()

    async def acknowledged(self) -> None:
        number, future = self.waiting.popleft()
        try:
            await future
        except KafkaError as error:
            raise self.refused(number, error) from error
        self.sent += 1

    def refused(self, number: int, error: KafkaError) -> StreamerError:
        return StreamerError(
            f"line {number} was refused by the broker: {type(error).__name__}: {error}. "
            f"{self.sent} lines are known to be in topic {self.topic!r}."
        )
