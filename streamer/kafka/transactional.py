"""The producer of one transactional id, which is made anew whenever it can't be trusted any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from aiokafka import AIOKafkaProducer, OffsetAndMetadata, TopicPartition

from streamer.kafka.adapter import unheeded
from streamer.kafka.outlet import Outgoing
from streamer.kafka.producing import stop

WITHIN = 10.0
"""Seconds that a transaction may take; the broker ends one itself after as long."""


class Transactional:
    """Holds the producer, if there is one.

    Invariant: behind a transaction that failed in any way stands a new one, whose InitProducerId ends what was left
    open.
    """

    def __init__(self, transactional_id: str, make: Callable[[str], AIOKafkaProducer]) -> None:
        self.transactional_id = transactional_id
        self.make = make
        self.producer: AIOKafkaProducer | None = None

    async def fence(self, topics: Iterable[str]) -> AIOKafkaProducer:
        """A new producer of this id: whoever had it before can commit nothing any more."""
        await self.discard()
        fresh = self.make(self.transactional_id)
        try:
            async with asyncio.timeout(WITHIN):
                await fresh.start()
                for topic in topics:
                    await fresh.partitions_for(topic)
        except BaseException:
            await stop(fresh, 0.1)
            raise
        self.producer = fresh
        return fresh

    async def discard(self) -> None:
        """Stop the producer, which may hang; nothing of it counts any more."""
        old, self.producer = self.producer, None
        if old is not None:
            await stop(old, 0.5)


async def write(
    producer: AIOKafkaProducer,
    group: str,
    offsets: dict[TopicPartition, OffsetAndMetadata],
    batches: Mapping[TopicPartition, Sequence[Outgoing]],
    refused_by: Callable[[str], object],
) -> None:
    """Results, dead letters and offsets in one transaction; offsets only once all else is acknowledged.

    ``refused_by`` is told the topic that did not take what it got.
    """
    await producer.begin_transaction()
    written = [(tp, future) for tp, items in batches.items() for future in await send(producer, tp, items)]
    answers = await asyncio.gather(*(future for _, future in written), return_exceptions=True)
    for (tp, _), answer in zip(written, answers, strict=True):
        if isinstance(answer, BaseException):
            refused_by(tp.topic)
            raise answer
    await producer.send_offsets_to_transaction(offsets, group)


async def send(
    producer: AIOKafkaProducer, tp: TopicPartition, items: Sequence[Outgoing]
) -> list[asyncio.Future[object]]:
    """Hand over the batches of one output partition."""
    futures = []
    batch = producer.create_batch()
    for _, key, value, headers, *_ in items:
        if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            futures.append(unheeded(await producer.send_batch(batch, tp.topic, partition=tp.partition)))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=headers)
    if batch.record_count():
        futures.append(unheeded(await producer.send_batch(batch, tp.topic, partition=tp.partition)))
    return futures
