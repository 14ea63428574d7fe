"""One input partition's way out in exactly-once mode: its transactional producer, and what waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaProducer, OffsetAndMetadata, TopicPartition

from streamer.kafka.adapter import unheeded
from streamer.kafka.commit import Commit
from streamer.kafka.outlet import Outgoing
from streamer.kafka.partition import Partition
from streamer.kafka.producing import stop
from streamer.kafka.record import Record

WITHIN = 10.0
"""Seconds that a transaction may take; the broker ends one itself after as long."""

Waiting = tuple[str, Outgoing]


class Line:
    """Writes one transaction at a time.

    Invariants: an outgoing is in ``waiting`` or in ``sent``, never in both; what is in ``sent`` goes back to the
    front, or was committed; behind a transaction that failed in any way stands a new producer, whose InitProducerId
    ends what was left open.
    """

    def __init__(self, transactional_id: str, make: Callable[[str], AIOKafkaProducer]) -> None:
        self.transactional_id = transactional_id
        self.make = make
        self.producer: AIOKafkaProducer | None = None
        self.waiting: deque[Waiting] = deque()
        self.sent: list[Waiting] = []
        self.commit: Commit | None = None
        self.asked = False
        """The end of the transaction was asked for: whether it came about is for the broker to say."""
        self.one_by_one = 0
        self.refusing = ""
        """The topic that did not take what it got."""
        self.not_before = 0.0
        self.task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self.task is not None and not self.task.done()

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

    def take(self, partition: Partition, most: int) -> tuple[list[Waiting], list[Record]]:
        """What of it is to be written now, at most so many; and what is no longer ours to answer."""
        dropped: list[Record] = []
        taken: list[Waiting] = []
        most = 1 if self.one_by_one else most
        while self.waiting and len(taken) < most:
            waiting = self.waiting.popleft()
            record = waiting[1].record
            if record.partition is partition and partition.publish(record):
                taken.append(waiting)
            else:
                dropped.append(record)
        self.one_by_one = max(0, self.one_by_one - len(taken))
        return taken, dropped

    async def write(
        self,
        producer: AIOKafkaProducer,
        group: str,
        offsets: dict[TopicPartition, OffsetAndMetadata],
        place: Callable[[str, Outgoing], int],
    ) -> None:
        """Results, dead letters and offsets in one transaction; offsets only once all else is acknowledged."""
        await producer.begin_transaction()
        batches: dict[TopicPartition, list[Outgoing]] = {}
        for topic, outgoing in self.sent:
            batches.setdefault(TopicPartition(topic, place(topic, outgoing)), []).append(outgoing)
            if outgoing.also is not None:
                topic, also = outgoing.also
                batches.setdefault(TopicPartition(topic, place(topic, also)), []).append(also)
        written = [(tp, f) for tp, items in batches.items() for f in await self.send(producer, tp, items)]
        answers = await asyncio.gather(*(future for _, future in written), return_exceptions=True)
        for (tp, _), answer in zip(written, answers, strict=True):
            if isinstance(answer, BaseException):
                self.refusing = tp.topic
                raise answer
        await producer.send_offsets_to_transaction(offsets, group)
        self.asked = True
        await producer.commit_transaction()

    async def send(
        self, producer: AIOKafkaProducer, tp: TopicPartition, items: list[Outgoing]
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
