"""Dead letters for tests: written as a worker writes them, and read back with what became of them."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streamer.errors import InvalidTask
from streamer.kafka.connection import Connection
from streamer.kafka.dead_letters import VALUE_BYTES, dead_letter_headers
from streamer.kafka.topics import DEAD_LETTER_BYTES, Wanted, ensure


class Site:
    """Topics ``NAME`` and ``NAME.dead-letters`` on a broker."""

    def __init__(self, bootstrap: str, name: str, partitions: int = 1) -> None:
        self.bootstrap = bootstrap
        self.name = name
        self.topic = f"{name}.dead-letters"
        self.partitions = partitions
        self.connection = Connection(bootstrap_servers=bootstrap)

    async def create(self, **config: str) -> dict[str, int]:
        """Make both; how many partitions each has."""
        limits = {"max.message.bytes": str(DEAD_LETTER_BYTES)}
        wanted = [Wanted(self.name, 3, config), Wanted(self.topic, self.partitions, limits)]
        return await ensure(self.connection, wanted, say=lambda _: None)

    async def letters(
        self, reasons: Iterable[str], *, partition: int = 0, headers: Any = (), left_out: int | None = None
    ) -> None:
        """One for each reason: tasks ``t0``, ``t1``, … of offsets 100, 101, … of partition 1 of the input."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_request_size=DEAD_LETTER_BYTES)
        async with producer:
            for number, reason in enumerate(reasons):
                message = SimpleNamespace(
                    topic=self.name,
                    partition=1,
                    offset=100 + number if left_out is None else 0,
                    headers=headers,
                )
                problem = InvalidTask(reason, f"It is {reason}.", f"t{number}")
                added = dead_letter_headers(message, problem, self.name, "client")
                value: bytes | None = f'{{"id": "t{number}"}}'.encode()
                if left_out is not None:
                    added.append((VALUE_BYTES, str(left_out).encode()))
                    value = None
                key = f"k{number % 7}".encode()
                await producer.send(self.topic, value, key, partition=partition, headers=added)

    async def came(self, topic: str | None = None) -> list[Any]:
        """What a topic holds for those who read what is committed."""
        tps = [TopicPartition(topic or self.name, number) for number in range(3)]
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            ends = await consumer.end_offsets(tps)  # also of what is committed, but not marked so yet
        found: list[Any] = []
        async with AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
        ) as consumer:
            consumer.assign(tps)
            async with asyncio.timeout(30):
                for tp, end in ends.items():
                    while await consumer.position(tp) < end:
                        found += (await consumer.getmany(tp, timeout_ms=100)).get(tp, [])
        return found
