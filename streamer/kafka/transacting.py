"""One transaction, from the producer that it needs to what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from streamer.kafka import adapter
from streamer.kafka.complaint import Complaint
from streamer.kafka.line import Line
from streamer.kafka.metadata import Identity, decode
from streamer.kafka.outlet import Outgoing
from streamer.kafka.partition import Partition
from streamer.kafka.placement import Placement
from streamer.kafka.producing import TOO_LARGE
from streamer.kafka.record import LOST, Record
from streamer.kafka.sink import too_large
from streamer.kafka.transactional import WITHIN, write

FENCED = (ProducerFenced, InvalidProducerEpoch)
AWAY = 0.1
"""Seconds until a worker that is out of its group looks again whether it is back."""
MOST = 1_000
"""Records of one transaction: its offsets must fit beside its results into the time that it has."""


class Transacting:
    """Whatever fails before its end was asked for is sent again; after that the broker is asked what came of it.

    ``member`` says whether the worker is in its group. Who is fenced has lost the partition: ``lost`` is told.
    """

    acknowledged: Callable[[list[Record]], None]
    dropped: Callable[[Record], None]
    consumer: AIOKafkaConsumer
    identities: Mapping[str, Identity]
    member: Callable[[], bool]
    lost: Callable[[Partition], None]

    def __init__(
        self,
        group: str,
        write: Callable[[Any, str | None], tuple[str, Outgoing]],
        placement: Placement,
        complaint: Complaint,
        warn: Callable[[str], None],
    ) -> None:
        self.group = group
        self.write = write
        self.placement = placement
        self.complaint = complaint
        self.warn = warn
        self.topics: list[str] = []
        self.loop = asyncio.get_running_loop()
        self.count = 0
        """Transactions that were committed."""

    async def transact(self, line: Line, partition: Partition, leaving: bool) -> None:
        """One transaction; ``line.not_before`` is when the next one may begin."""
        transactional = line.transactional
        try:
            producer = transactional.producer or await self.renewed(line, partition)
            if producer is None or (line.sent and not await self.settled(line, partition)):
                return
            if not partition.is_open:
                return
            for record in line.take(partition, MOST):
                self.drop(record)
            line.commit = commit = partition.commit(leaving=leaving, batch=line.records)
            line.asked = False
            if commit is None:
                return
            offset = OffsetAndMetadata(commit.frontier, commit.metadata(self.identities[partition.topic]))
            offsets = {TopicPartition(partition.topic, partition.number): offset}
            async with asyncio.timeout(WITHIN):
                batches = line.batches(self.placement.place)
                await write(producer, self.group, offsets, batches, line.refused_by)
                line.asked = True
                await producer.commit_transaction()
        except FENCED:
            await transactional.discard()
            self.put_back(line, partition)
            self.lost(partition)
        except TOO_LARGE as error:
            await transactional.discard()
            self.shrink(line, partition, error)
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:  # aiokafka asserts its states
            await transactional.discard()
            if not line.asked:
                self.put_back(line, partition)
            self.complain(line, error)
        else:
            self.succeeded(line, partition)

    async def renewed(self, line: Line, partition: Partition) -> AIOKafkaProducer | None:
        """A new producer, if the partition still is ours: who is out of the group would fence off its new owner."""
        if not self.member():
            line.not_before = self.loop.time() + AWAY
            return None
        producer = await line.transactional.fence(self.topics)
        held = await self.held(partition)
        if held is not None:
            nonce = decode(held[1], self.identities[partition.topic], held[0]).nonce
            checkpoint = partition.checkpoint
            if nonce != checkpoint.nonce and checkpoint.acknowledged is not None:
                await line.transactional.discard()
                self.put_back(line, partition)
                self.lost(partition)
                return None
        return producer

    async def settled(self, line: Line, partition: Partition) -> bool:
        """Find out what became of a transaction whose end nobody confirmed; False when the partition is gone."""
        commit = line.commit
        if line.asked and commit is not None:
            said = (commit.frontier, commit.metadata(self.identities[partition.topic]))
            if await self.held(partition) == said:
                self.succeeded(line, partition)
                return True
        self.put_back(line, partition)
        return partition.is_open

    async def held(self, partition: Partition) -> tuple[int, str] | None:
        """What is committed: offset and metadata; the client by itself would ask without end."""
        tp = TopicPartition(partition.topic, partition.number)
        async with asyncio.timeout(WITHIN):
            return (await adapter.committed(self.consumer, [tp])).get(tp)

    def succeeded(self, line: Line, partition: Partition) -> None:
        """All of it is in the log, and counts."""
        records = line.records
        line.sent = []
        self.count += 1
        self.acknowledged(records)
        if line.commit is not None:
            partition.committed(line.commit)
        self.complaint.withdraw(line.place)

    def put_back(self, line: Line, partition: Partition) -> None:
        """None of it counts."""
        for record in line.put_back(partition):
            self.dropped(record)

    def shrink(self, line: Line, partition: Partition, error: BaseException) -> None:
        """Find the one that is too large, and write what is left of it."""
        count = len(line.sent)
        self.put_back(line, partition)
        if count > 1:
            line.one_by_one = count
        elif line.waiting:
            topic, outgoing = line.waiting[0]
            also = outgoing.also
            second = also is not None and also[0] == line.refusing
            place, part = also if also is not None and second else (topic, outgoing)
            if not part.can_be_less:
                self.complain(line, error, place)
                return
            sentence = too_large(part, place, error)
            less = self.write(part, sentence)
            self.warn(f"{sentence} {less[0]} gets what is left without them.")
            line.waiting[0] = (topic, outgoing._replace(also=less)) if second else less

    def complain(self, line: Line, error: BaseException, topic: str | None = None) -> None:
        """It is tried again, after a while."""
        line.not_before = self.loop.time() + self.complaint.pause()
        self.complaint.raise_(line.place, f"{type(error).__name__}: {error}".rstrip(": "), topic)

    def drop(self, record: Record) -> None:
        """Its partition is gone."""
        if record.state is not LOST:
            record.partition.publish(record)
        self.dropped(record)
