"""Where data leaves in exactly-once mode: results, dead letters and offsets in one transaction per partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streamer.kafka import adapter
from streamer.kafka.complaint import Complaint
from streamer.kafka.flushing import Flushing
from streamer.kafka.line import Line
from streamer.kafka.metadata import Identity
from streamer.kafka.outlet import Outgoing
from streamer.kafka.partition import Partition
from streamer.kafka.placement import Placement
from streamer.kafka.record import Record
from streamer.kafka.transacting import Transacting
from streamer.kafka.turns import Turns

EVERY, PER_PARTITION = 0.1, 0.005
"""Seconds between a partition's transactions: each costs the broker some 40 ms, and us 1 to 2 of CPU."""


class Transactions(Flushing):
    """Sink and committer in one: what it writes and what it commits are the same transaction.

    A transaction is begun at a flush, never while a task runs; one at a time per partition.
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
        self.acknowledged: Callable[[list[Record]], None]
        self.dropped: Callable[[Record], None]
        self.partitions: Callable[[], Iterable[Partition]]
        self.topics: list[str] = []
        self.lines: dict[tuple[str, int], Line] = {}
        self.placement = Placement(input_count, self.count_of)
        self.complaint = Complaint(warn, self.waiting)
        self.transacting = Transacting(group, write, self.placement, self.complaint, warn)
        self.hurried = asyncio.Event()
        self.turns = Turns()
        self.ticked = 0.0

    def attach(
        self,
        partitions: Callable[[], Iterable[Partition]],
        identities: Mapping[str, Identity],
        consumer: AIOKafkaConsumer,
        lost: Callable[[Partition], None],
        member: Callable[[], bool],
    ) -> None:
        """Make it the committer of a source, which knows whether it is a ``member`` of its group."""
        self.partitions = partitions
        transacting = self.transacting
        transacting.identities, transacting.consumer = identities, consumer
        transacting.lost, transacting.member = lost, member

    async def start(self, topics: list[str]) -> None:
        self.topics = self.transacting.topics = topics
        self.transacting.acknowledged, self.transacting.dropped = self.acknowledged, self.dropped
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
        await asyncio.gather(
            *(self.line(partition).transactional.fence(self.topics) for partition in partitions)
        )

    def line(self, partition: Partition) -> Line:
        key = (partition.topic, partition.number)
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line(self.group, *key, self.topics[0], self.make_producer)
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
            line.task = self.loop.create_task(self.transacting.transact(line, partition, leaving))
            line.task.add_done_callback(lambda task: self.over(line, task))

    def over(self, line: Line, task: asyncio.Task[None]) -> None:
        self.turns.over()
        self.wake.set()
        if line.not_before > self.loop.time():
            self.loop.call_at(line.not_before, self.wake.set)
        self.flusher_ended(task)

    def clean_up(self, partitions: Sequence[Partition]) -> None:
        """What is no longer ours is neither written nor kept."""
        ours = {(partition.topic, partition.number) for partition in partitions}
        for key, line in list(self.lines.items()):
            for record in line.sift():
                self.transacting.drop(record)
            if key not in ours and not line.busy and not line.waiting:
                gone = [record for record in line.records if not record.partition.alive]
                for record in gone:
                    self.dropped(record)
                if len(gone) == len(line.sent):
                    del self.lines[key]
                    self.complaint.dismiss(line.place)
                    self.loop.create_task(line.transactional.discard())

    def waiting(self) -> int:
        """How many results are not committed yet."""
        return sum(len(line.waiting) + len(line.sent) for line in self.lines.values())

    def count_of(self, topic: str) -> int:
        """How many partitions a topic has, as far as is known."""
        producers = (line.transactional.producer for line in self.lines.values())
        return next((adapter.partitions_of(producer, topic) or 1 for producer in producers if producer), 1)

    async def close(self, seconds: float) -> None:
        """Close the connections, bounded in time; what was not committed stays unfinished."""
        self.stop_flushing()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(
                    *(line.transactional.discard() for line in self.lines.values()), return_exceptions=True
                )
