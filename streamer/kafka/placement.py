"""To which partition of its topic a result goes."""

from __future__ import annotations

from collections.abc import Callable

from aiokafka.partitioner import murmur2

from streamer.kafka.outlet import Outgoing


class Placement:
    """That of its input where both topics have as many, else by its key.

    With as many, records of one key stay in order and beside their tasks whatever partitioner their producer used,
    and no key needs to be hashed.
    """

    def __init__(self, input_count: Callable[[], int], count_of: Callable[[str], int]) -> None:
        self.input_count = input_count
        self.count_of = count_of
        self.counts: dict[str, int] = {}
        self.inputs: int | None = None

    def forget(self) -> None:
        """Topics may grow: ask again, once a round."""
        self.counts.clear()
        self.inputs = None

    def place(self, topic: str, outgoing: Outgoing) -> int:
        count = self.counts.get(topic)
        if count is None:
            count = self.counts[topic] = self.count_of(topic)
        if self.inputs is None:
            self.inputs = self.input_count()
        number = outgoing.record.partition.number
        # an input that has grown unnoticed has partitions that this topic does not
        if number < count == self.inputs:
            return number
        if outgoing.key is not None:
            return int(murmur2(outgoing.key) & 0x7FFFFFFF) % count
        return number % count
