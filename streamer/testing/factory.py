"""What a simulation puts to the test."""

from collections.abc import Callable
from dataclasses import dataclass

from streamer.kafka.commit import Commit
from streamer.kafka.lanes import Lanes
from streamer.kafka.metadata import Identity, Restored, decode
from streamer.kafka.partition import Partition


@dataclass(frozen=True)
class Factory:
    """The objects that source and sink consult; a planted mutant takes the place of one of them."""

    partition: Callable[[str, int], Partition] = Partition
    lanes: Callable[[], Lanes] = Lanes
    encode: Callable[[Commit, Identity], str] = Commit.metadata
    decode: Callable[[str | None, Identity, int], Restored] = decode
