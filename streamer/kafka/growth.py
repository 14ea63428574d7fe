"""In key order, an input that has grown: a key may have moved, and what it left behind comes first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from streamer.kafka import adapter
from streamer.kafka.partition import Partition


class Growth:
    """Holds added partitions back until the group has finished all that the others held when they were noticed.

    ``known`` is how many partitions the group has had open: as many as its journal has, which grows when the first
    of the added ones is opened. So every worker knows, also one that starts in between.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, known: Callable[[], int], warn: Callable[[str], None]
    ) -> None:
        self.consumer = consumer
        self.known = known
        self.warn = warn
        self.until: dict[TopicPartition, int] = {}
        """The ends that the others had."""

    async def held(self, partitions: Sequence[Partition]) -> Collection[Partition]:
        """Those of the partitions that are not to be opened yet."""
        known = self.known()
        added = [partition for partition in partitions if partition.number >= known]
        if not added:
            self.until = {}
            return ()
        topic = added[0].topic
        others = [TopicPartition(topic, number) for number in range(known)]
        before = self.until
        if before.keys() != set(others):
            self.until = await self.consumer.end_offsets(others)
        committed = await adapter.committed(self.consumer, others)
        behind = left(self.until, {tp: offset for tp, (offset, _) in committed.items()})
        if behind and self.until is not before:
            self.warn(
                f"{topic} has grown: partitions from {known} on wait until {behind} offsets of the others are "
                "finished, for keys may have moved. To keep the order of keys stop the producers, let the lag reach "
                "0, and only then add partitions."
            )
        return added if behind else ()


def left(ends: dict[TopicPartition, int], committed: dict[TopicPartition, int]) -> int:
    """How many offsets below the ends are not committed."""
    return sum(max(0, end - committed.get(tp, 0)) for tp, end in ends.items())
