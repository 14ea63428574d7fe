"""Where an assigned partition begins: decided purely, then done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from streamer.errors import StreamerError
from streamer.kafka import adapter
from streamer.kafka.metadata import Identity, Restored, decode
from streamer.kafka.partition import Partition


class LossFound(StreamerError):
    """Tasks that were not answered are no longer in the topic."""


class Start(Struct, frozen=True):
    """Where to begin. ``committed`` is whether the offset is the group's own, ``lost`` counts what is gone."""

    frontier: int
    finished: Iterable[tuple[int, int]] = ()
    committed: bool = False
    warning: str | None = None
    lost: int = 0


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
    return Start(restored.frontier, restored.finished, committed=True, warning=warning)


async def open_partitions(
    consumer: AIOKafkaConsumer,
    partitions: Sequence[Partition],
    *,
    accept_loss: bool,
    warn: Callable[[str], None],
) -> dict[str, Identity]:
    """Read what the group has committed, seek, and open; the topics' identities, for the commits to come.

    A partition that was closed meanwhile stays closed.
    """
    tps = {TopicPartition(partition.topic, partition.number): partition for partition in partitions}
    topics = sorted({tp.topic for tp in tps})
    cluster_id, topic_ids = await adapter.identities(adapter.client_of(consumer), topics)
    identities = {topic: Identity(cluster_id, topic_ids.get(topic, "")) for topic in topics}
    found = await adapter.committed(consumer, list(tps))
    beginnings = await consumer.beginning_offsets(list(tps))
    ends = await consumer.end_offsets(list(tps))
    for tp, partition in tps.items():
        restored = None
        if tp in found:
            offset, metadata = found[tp]
            restored = decode(metadata, identities[tp.topic], offset)
        start = starting_point(restored, beginnings[tp], ends[tp])
        where = f"{tp.topic}-{tp.partition}"
        if start.lost:
            sentence = (
                f"{where}: {start.lost} offsets between the committed one and the log's beginning, {start.frontier}, "
                "were deleted before they were answered (the topic's retention is too short)"
            )
            if not accept_loss:
                raise LossFound(
                    f"{sentence}. To go on without them set STREAMER_ACCEPT_LOSS=true, or move the group's offset."
                )
            warn(sentence)
        if start.warning is not None:
            warn(f"{where}: {start.warning}")
        if not adapter.seek(consumer, tp, start.frontier):
            continue  # it was taken away again meanwhile
        partition.open(start.frontier, start.finished, nonce=os.urandom(8), committed=start.committed)
    return identities
