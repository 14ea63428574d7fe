"""What is in a topic, as another client sees it."""

import asyncio

from aiokafka import AIOKafkaConsumer

from tests.brokers import Broker


def records(broker: Broker, topic: str, count: int) -> list[tuple[bytes | None, bytes | None]]:
    """Keys and values, read by another client."""

    async def read() -> list[tuple[bytes | None, bytes | None]]:
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest"
        )
        async with consumer:
            return [
                (r.key, r.value)
                for r in [await asyncio.wait_for(consumer.getone(), 20) for _ in range(count)]
            ]

    return asyncio.run(read())
