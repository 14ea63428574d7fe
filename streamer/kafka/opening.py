"""Where an assigned partition begins: decided purely, then done."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from streamer.errors import StreamerError
from streamer.kafka import adapter
from streamer.kafka.metadata import Identity, Restored, decode
from streamer.kafka.partition import Partition
from streamer.kafka.quarantine import after_crash


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


def nobody_had(suspended: Partition, restored: Restored | None) -> bool:
    """Whether it may be resumed: the last commit is its own, and every opening begins with one."""
    return restored is not None and restored.nonce == suspended.nonce


class Opener:
    """Opens partitions: fences others off, reads what the group has committed, seeks, and lets them begin."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        *,
        accept_loss: bool,
        headroom: int,
        warn: Callable[[str], None],
        fence: Callable[[Sequence[Partition]], Awaitable[None]] | None = None,
    ) -> None:
        self.consumer = consumer
        self.fence = fence
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
        cluster_id, topic_ids = await adapter.identities(adapter.client_of(consumer), topics)
        self.identities |= {topic: Identity(cluster_id, topic_ids.get(topic, "")) for topic in topics}
        if self.fence is not None:  # before the committed offset is read: nobody else changes it after that
            await self.fence(partitions)
        found = await adapter.committed(consumer, list(tps))
        beginnings = await consumer.beginning_offsets(list(tps))
        ends = await consumer.end_offsets(list(tps))
        foreign = []
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
            self.begin(partition, restored, self.start(tp, restored, beginnings[tp], ends[tp]))
        return foreign

    def start(self, tp: TopicPartition, restored: Restored | None, beginning: int, end: int) -> Start:
        """Where it begins; what is to be said of that is said."""
        start = starting_point(restored, beginning, end)
        where = f"{tp.topic}-{tp.partition}"
        if start.lost:
            sentence = (
                f"{where}: {start.lost} offsets between the committed one and the log's beginning, {start.frontier}, "
                "were deleted before they were answered (the topic's retention is too short)"
            )
            if not self.accept_loss:
                raise LossFound(
                    f"{sentence}. To go on without them set STREAMER_ACCEPT_LOSS=true, or move the group's offset."
                )
            self.warn(sentence)
        if start.warning is not None:
            self.warn(f"{where}: {start.warning}")
        return start

    def begin(self, partition: Partition, restored: Restored | None, start: Start) -> None:
        tp = TopicPartition(partition.topic, partition.number)
        if not adapter.seek(self.consumer, tp, start.frontier):
            return  # it was taken away again meanwhile
        opened = partition.open(
            start.frontier,
            start.finished,
            nonce=os.urandom(8),
            restarted_below=start.restarted_below,
            headroom=self.headroom,
        )
        if opened and start.crashed and restored is not None and restored.marks is not None:
            partition.crashed = True
            partition.suspects = partition.unfinished_below(start.restarted_below)
            partition.level, partition.trial = after_crash(restored.marks)
