"""Where an assigned partition begins: decided purely, then done."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from streamer.errors import StreamerError
from streamer.kafka import adapter
from streamer.kafka.checkpoint import Journal
from streamer.kafka.metadata import Identity, Restored, decode
from streamer.kafka.partition import Partition
from streamer.kafka.quarantine import after_crash
from streamer.kafka.topic_ids import identities


class LossFound(StreamerError):
    """Tasks that were not answered are no longer in the topic."""


class Start(Struct, frozen=True):
    """Where to begin. ``lost`` counts what is gone.

    What is unfinished below ``restarted_below`` may have been begun before; by an owner that ``crashed``, or left
    before all suspects of an earlier crash were tried, or by one without any suspicion.
    """

    frontier: int
    finished: Iterable[tuple[int, int]] = ()
    warning: str | None = None
    lost: int = 0
    restarted_below: int = 0
    crashed: bool = False

    def unfinished(self, offset: int) -> bool:
        """Whether a task at this offset is still to be answered."""
        return offset >= self.frontier and not any(first <= offset < stop for first, stop in self.finished)


def starting_point(restored: Restored | None, beginning: int, end: int) -> Start:
    """Begin where the group left off, without what was finished above it; at the beginning where it never was.

    A topic made anew under the old name begins at its beginning: an offset of the old one says nothing of it.
    """
    if restored is None:
        return Start(beginning)
    if restored.topic_made_anew or restored.frontier > end:
        why = restored.reason or f"offset {restored.frontier} is committed, but the log ends at {end}"
        return Start(beginning, warning=f"{why}; reading from the beginning, {beginning}")
    if restored.frontier < beginning:
        finished = sum(max(0, min(stop, beginning) - first) for first, stop in restored.finished)
        lost = beginning - restored.frontier - finished
        return Start(beginning, restored.finished, lost=lost)
    warning = None
    if restored.reason is not None:
        warning = (
            f"{restored.reason}; going on from {restored.frontier}, what had finished above it runs again"
        )
    marks = restored.marks
    if marks is None or marks.reach <= restored.frontier:
        return Start(restored.frontier, restored.finished, warning)
    # what was promised beyond the log's end was not there to be begun
    below = min(marks.reach, end)
    return Start(
        restored.frontier,
        restored.finished,
        restarted_below=below,
        crashed=(not marks.left or marks.level > 0) and below > restored.frontier,
    )


class Opening(NamedTuple):
    """A partition that is about to be opened, with what is known of it."""

    partition: Partition
    restored: Restored | None
    start: Start
    nonce: bytes
    identity: Identity


def nobody_had(suspended: Partition, restored: Restored | None) -> bool:
    """Whether it may be resumed: the last commit is its own, and every opening begins with one."""
    return restored is not None and restored.nonce == suspended.checkpoint.nonce


class Opener:
    """Opens partitions: fences others off, reads what is committed and journaled, seeks, lets them begin."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        *,
        accept_loss: bool,
        headroom: int,
        warn: Callable[[str], None],
        fence: Callable[[Sequence[Partition]], Awaitable[None]] | None = None,
        restore: Callable[[list[Opening]], Awaitable[Mapping[Partition, Journal]]] | None = None,
    ) -> None:
        self.consumer = consumer
        self.fence = fence
        self.restore = restore
        self.accept_loss = accept_loss
        self.headroom = headroom
        self.warn = warn
        self.identities: dict[str, Identity] = {}

    async def open(self, partitions: Sequence[Partition]) -> list[Partition]:
        """Open them, or resume those that are suspended and were nobody else's meanwhile.

        Returns suspended ones that somebody else had: they are gone for good. A partition that was closed
        meanwhile stays closed.
        """
        consumer = self.consumer
        tps = {TopicPartition(partition.topic, partition.number): partition for partition in partitions}
        topics = sorted({tp.topic for tp in tps})
        cluster_id, topic_ids = await identities(adapter.client_of(consumer), topics)
        self.identities |= {topic: Identity(cluster_id, topic_ids.get(topic, "")) for topic in topics}
        if self.fence is not None:  # before the committed offset is read: nobody else changes it after that
            await self.fence(partitions)
        found = await adapter.committed(consumer, list(tps))
        beginnings = await consumer.beginning_offsets(list(tps))
        ends = await consumer.end_offsets(list(tps))
        foreign: list[Partition] = []
        opening: list[Opening] = []
        for tp, partition in tps.items():
            restored = None
            if tp in found:
                offset, metadata = found[tp]
                restored = decode(metadata, self.identities[tp.topic], offset)
            if partition.suspended:
                if nobody_had(partition, restored):
                    adapter.seek(consumer, tp, partition.resume())
                else:
                    foreign.append(partition)
                continue
            start = self.start(tp, restored, beginnings[tp], ends[tp])
            opening.append(Opening(partition, restored, start, os.urandom(8), self.identities[tp.topic]))
        journals = await self.restore(opening) if self.restore is not None else {}
        for one in opening:
            self.begin(one, journals.get(one.partition))
        return foreign

    def start(self, tp: TopicPartition, restored: Restored | None, beginning: int, end: int) -> Start:
        """Where it begins; what is to be said of that is said."""
        start = starting_point(restored, beginning, end)
        if start.lost:
            self.lose(tp, start.lost, start.frontier)
        if start.warning is not None:
            self.warn(f"{tp.topic}-{tp.partition}: {start.warning}")
        return start

    async def overrun(self, partitions: Iterable[Partition]) -> None:
        """Go on from the log's beginning where it has overtaken us; what is under way goes on, too."""
        tps = {TopicPartition(partition.topic, partition.number): partition for partition in partitions}
        beginnings = await self.consumer.beginning_offsets(list(tps))
        ends = await self.consumer.end_offsets(list(tps))
        for tp, partition in tps.items():
            position, beginning = adapter.position(self.consumer, tp), beginnings[tp]
            if position is None or not partition.is_open:
                continue  # where it begins is being found out anew
            if position > ends[tp]:
                raise LossFound(
                    f"{tp.topic}-{tp.partition}: offset {position} is next, but the log ends at {ends[tp]}: the topic "
                    "was made anew, or brokers lost its end. Start again; the worker will say from where it reads."
                )
            if position < beginning:
                if not self.accept_loss:
                    partition.let_go()
                self.lose(tp, partition.ledger.missing(beginning), beginning)
                partition.ledger.skip(beginning)
                adapter.seek(self.consumer, tp, beginning)

    def lose(self, tp: TopicPartition, count: int, beginning: int) -> None:
        """Say what was lost; go on only where that is accepted."""
        sentence = (
            f"{tp.topic}-{tp.partition}: {count} offsets below the log's beginning, {beginning}, were deleted before "
            "they were answered (the topic's retention is too short)"
        )
        if not self.accept_loss:
            raise LossFound(
                f"{sentence}. To go on without them set STREAMER_ACCEPT_LOSS=true, or move the group's offset."
            )
        self.warn(sentence)

    def begin(self, opening: Opening, journal: Journal | None) -> None:
        """All is known: read from there."""
        partition, restored, start, nonce, _ = opening
        if not adapter.seek(self.consumer, TopicPartition(partition.topic, partition.number), start.frontier):
            return  # it was taken away again meanwhile
        opened = partition.open(
            start.frontier,
            start.finished,
            nonce=nonce,
            restarted_below=start.restarted_below,
            headroom=self.headroom,
            journal=journal,
        )
        if opened and start.crashed and restored is not None and restored.marks is not None:
            partition.suspect(*after_crash(restored.marks))
