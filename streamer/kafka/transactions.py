"""Where data leaves in exactly-once mode: results, dead letters and offsets in one transaction per partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from streamer.kafka import adapter
from streamer.kafka.complaint import Complaint
from streamer.kafka.flushing import Flushing
from streamer.kafka.metadata import Identity, decode
from streamer.kafka.outlet import Outgoing
from streamer.kafka.partition import Partition
from streamer.kafka.placement import Placement
from streamer.kafka.producing import TOO_LARGE
from streamer.kafka.record import LOST, Record
from streamer.kafka.sink import too_large
from streamer.kafka.transaction import WITHIN, Line

FENCED = (ProducerFenced, InvalidProducerEpoch)
EVERY, PER_PARTITION = 0.1, 0.005
"""Seconds between a partition's transactions: each costs the broker some 40 ms, and us 1 to 2 of CPU."""
MOST = 1_000
"""Records of one transaction: its offsets must fit beside its results into the time that it has."""


class Transactions(Flushing):
    """Sink and committer in one: what it writes and what it commits are the same transaction.

    A transaction is begun at a flush, never while a task runs; one at a time per partition. Whatever fails before
    its end was asked for is sent again; after that the broker is asked what came of it. Who is fenced has lost the
    partition: ``lost`` is told.
    """

    def __init__(
        self,
        make_producer: Callable[[str], AIOKafkaProducer],
        group: str,
        write: Callable[[Any, str | None], tuple[str, Outgoing]],
        warn: Callable[[str], None],
        input_count: Callable[[], int],
    ) -> None:
        super().__init__()
        self.make_producer = make_producer
        self.group = group
        self.write = write
        self.warn = warn
        self.acknowledged: Callable[[list[Record]], None]
        self.dropped: Callable[[Record], None]
        self.partitions: Callable[[], Iterable[Partition]]
        self.identities: Mapping[str, Identity]
        self.consumer: AIOKafkaConsumer
        self.lost: Callable[[Partition], None]
        self.topics: list[str] = []
        self.lines: dict[tuple[str, int], Line] = {}
        self.placement = Placement(input_count, self.count_of)
        self.complaint = Complaint(warn, self.waiting)
        self.hurried = asyncio.Event()
        self.turned: asyncio.Future[None] = self.loop.create_future()
        self.ticked = 0.0
        self.count = 0
        """Transactions that were committed."""

    def attach(
        self,
        partitions: Callable[[], Iterable[Partition]],
        identities: Mapping[str, Identity],
        consumer: AIOKafkaConsumer,
        lost: Callable[[Partition], None],
        member: Callable[[], bool],
    ) -> None:
        """Make it the committer of a source, which knows whether it is a ``member`` of its group."""
        self.member = member
        self.partitions = partitions
        self.identities = identities
        self.consumer = consumer
        self.lost = lost

    async def start(self, topics: list[str]) -> None:
        self.topics = topics
        self.begin_flushing()

    # --- the observer

    def on_next(self, value: Any) -> None:
        if value is not None:
            topic, outgoing = self.write(value, None)
            self.line(outgoing.record.partition).waiting.append((topic, outgoing))
            self.wake.set()

    # --- the committer

    def patience(self) -> float:
        """Seconds until somebody should look again."""
        return EVERY

    def tick(self) -> None:
        """There may be something to commit without any result: control records, a reach."""
        now = self.loop.time()
        if now >= self.ticked + 2 * EVERY:
            self.ticked = now
            self.wake.set()

    def hurry(self) -> None:
        """Commit now: something waits for it."""
        self.hurried.set()
        self.wake.set()

    async def turn(self) -> None:
        """Wait until a transaction has ended, well or not, or a partition has gone."""
        await asyncio.shield(self.turned)

    def turn_over(self) -> None:
        """Wake who waits for a transaction."""
        turned, self.turned = self.turned, self.loop.create_future()
        turned.set_result(None)

    async def commit_now(
        self, partitions: Sequence[Partition], seconds: float, *, leaving: bool = False
    ) -> bool:
        """Write and commit all that is finished by now, after what is under way; False when time ran out."""
        end = self.loop.time() + seconds
        while self.loop.time() < end:
            busy = {line.task for line in self.lines.values() if line.task is not None and line.busy}
            if busy:
                await asyncio.wait(busy, timeout=max(0.0, end - self.loop.time()))
                continue
            due = [p for p in partitions if p.is_open and (self.line(p).waiting or p.commit(leaving=leaving))]
            if not due:
                return True
            for partition in due:
                self.begin(partition, leaving=leaving and not self.line(partition).waiting)
            if not any(self.line(partition).busy for partition in due):
                await asyncio.sleep(min(0.05, max(0.0, end - self.loop.time())))
        return False

    # --- transactions

    async def fence(self, partitions: Sequence[Partition]) -> None:
        """Make sure that nobody but us can commit anything of these."""
        await asyncio.gather(*(self.line(partition).fence(self.topics) for partition in partitions))

    def line(self, partition: Partition) -> Line:
        key = (partition.topic, partition.number)
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line(
                f"{self.group}-{partition.topic}-{partition.number}", self.make_producer
            )
        return line

    async def flush(self) -> None:
        """Begin a transaction for each partition with something to say, no more often than is useful."""
        while not self.closing:
            await self.wake.wait()
            self.wake.clear()
            self.placement.forget()
            partitions = list(self.partitions())
            for partition in partitions:
                self.begin(partition)
            self.clean_up(partitions)
            if self.ended and not self.waiting() and not any(line.busy for line in self.lines.values()):
                self.all_written()
                return
            await self.rest(max(EVERY, PER_PARTITION * len(partitions)))

    async def rest(self, seconds: float) -> None:
        """Let results gather, unless something waits for a commit."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.hurried.wait(), seconds)
        self.hurried.clear()

    def begin(self, partition: Partition, *, leaving: bool = False) -> None:
        """Begin a transaction, if there is anything to write and none is under way."""
        line = self.line(partition)
        if line.busy or not partition.is_open or self.loop.time() < line.not_before:
            return
        if line.waiting or line.sent or partition.commit(leaving=leaving) is not None:
            line.task = self.loop.create_task(self.transact(line, partition, leaving))
            line.task.add_done_callback(self.over)

    def over(self, task: asyncio.Task[None]) -> None:
        self.turn_over()
        self.wake.set()
        self.flusher_ended(task)

    async def transact(self, line: Line, partition: Partition, leaving: bool) -> None:
        """One transaction, from the producer that it needs to what became of it."""
        where = self.where(partition.topic, partition.number)
        try:
            producer = line.producer or await self.renewed(line, partition)
            if producer is None or (line.sent and not await self.settled(line, partition)):
                return
            if not partition.is_open:
                return
            line.sent, dropped = line.take(partition, MOST)
            for record in dropped:
                self.drop(record)
            records = [outgoing.record for _, outgoing in line.sent]
            line.commit = commit = partition.commit(leaving=leaving, batch=records)
            line.asked = False
            if commit is None:
                return
            offset = OffsetAndMetadata(commit.frontier, commit.metadata(self.identities[partition.topic]))
            async with asyncio.timeout(WITHIN):
                await line.write(
                    producer,
                    self.group,
                    {TopicPartition(partition.topic, partition.number): offset},
                    self.placement.place,
                )
        except FENCED:
            await line.discard()
            self.put_back(line, partition)
            self.lost(partition)
        except TOO_LARGE as error:
            await line.discard()
            self.shrink(line, partition, error)
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:  # aiokafka asserts its states
            await line.discard()
            if not line.asked:
                self.put_back(line, partition)
            line.not_before = self.loop.time() + self.complaint.pause()
            self.loop.call_at(line.not_before, self.wake.set)
            self.complaint.raise_(where, f"{type(error).__name__}: {error}".rstrip(": "))
        else:
            self.succeeded(line, partition)

    async def renewed(self, line: Line, partition: Partition) -> AIOKafkaProducer | None:
        """A new producer, if the partition still is ours: who is out of the group would fence off its new owner."""
        if not self.member():
            line.not_before = self.loop.time() + EVERY
            self.loop.call_at(line.not_before, self.wake.set)
            return None
        producer = await line.fence(self.topics)
        held = await self.held(partition)
        if held is not None:
            nonce = decode(held[1], self.identities[partition.topic], held[0]).nonce
            if nonce != partition.checkpoint.nonce and partition.checkpoint.acknowledged is not None:
                await line.discard()
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
        records = [outgoing.record for _, outgoing in line.sent]
        line.sent = []
        self.count += 1
        self.acknowledged(records)
        if line.commit is not None:
            partition.committed(line.commit)
        self.complaint.withdraw(self.where(partition.topic, partition.number))

    def put_back(self, line: Line, partition: Partition) -> None:
        """None of it counts: it is to be sent again, before all else."""
        back, line.sent = line.sent, []
        for waiting in reversed(back):
            if partition.refuse(waiting[1].record):
                line.waiting.appendleft(waiting)
            else:
                self.dropped(waiting[1].record)

    def shrink(self, line: Line, partition: Partition, error: BaseException) -> None:
        """Find the one that is too large, and write what is left of it."""
        large = line.sent
        self.put_back(line, partition)
        if len(large) > 1:
            line.one_by_one = len(large)
        elif line.waiting:
            topic, outgoing = line.waiting[0]
            also = outgoing.also
            second = also is not None and also[0] == line.refusing
            place, part = also if also is not None and second else (topic, outgoing)
            if part.reduced:
                line.not_before = self.loop.time() + self.complaint.pause()
                where = self.where(partition.topic, partition.number)
                self.complaint.raise_(where, f"{place} refused it ({type(error).__name__}: {error})")
                return
            sentence = too_large(part, place, error)
            self.warn(f"{sentence} {place} gets what is left without them.")
            less = self.write(part, sentence)
            line.waiting[0] = (topic, outgoing._replace(also=less)) if second else less

    def clean_up(self, partitions: Sequence[Partition]) -> None:
        """What is no longer ours is neither written nor kept."""
        ours = {(partition.topic, partition.number) for partition in partitions}
        for key, line in list(self.lines.items()):
            kept = [waiting for waiting in line.waiting if waiting[1].record.partition.alive]
            if len(kept) < len(line.waiting):
                gone = [
                    waiting[1].record for waiting in line.waiting if not waiting[1].record.partition.alive
                ]
                line.waiting.clear()
                line.waiting.extend(kept)
                for record in gone:
                    self.drop(record)
            if key not in ours and not line.busy and not kept:
                for _, outgoing in line.sent:
                    if not outgoing.record.partition.alive:
                        self.dropped(outgoing.record)
                if not any(outgoing.record.partition.alive for _, outgoing in line.sent):
                    del self.lines[key]
                    self.complaint.dismiss(self.where(*key))
                    self.loop.create_task(line.discard())

    def drop(self, record: Record) -> None:
        """Its partition is gone."""
        if record.state is not LOST:
            record.partition.publish(record)
        self.dropped(record)

    def where(self, topic: str, number: int) -> str:
        """What a partition's transactions are called in sentences."""
        return f"{self.topics[0]} ({topic}-{number})"

    def waiting(self) -> int:
        """How many results are not committed yet."""
        return sum(len(line.waiting) + len(line.sent) for line in self.lines.values())

    def count_of(self, topic: str) -> int:
        """How many partitions a topic has, as far as is known."""
        producers = (line.producer for line in self.lines.values() if line.producer is not None)
        return next((adapter.partitions_of(producer, topic) or 1 for producer in producers), 1)

    async def close(self, seconds: float) -> None:
        """Close the connections, bounded in time; what was not committed stays unfinished."""
        self.stop_flushing()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(
                    *(line.discard() for line in self.lines.values()), return_exceptions=True
                )
