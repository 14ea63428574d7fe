"""What a simulation puts to the test."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamer.kafka.commit import Commit
from streamer.kafka.journal.log import Log
from streamer.kafka.journal.memory import TaskMemory
from streamer.kafka.journal.reading import Reading
from streamer.kafka.journal.truncation import committed
from streamer.kafka.lanes import Lanes
from streamer.kafka.metadata import Identity, Marks, Restored, Trial, decode
from streamer.kafka.opening import Start, nobody_had, starting_point
from streamer.kafka.partition import Partition
from streamer.kafka.quarantine import after_crash, charge, foremost, trial_time
from streamer.kafka.record import Record


class Charge(Protocol):
    def __call__(self, record: Record, *, occupied: int) -> Trial: ...


@dataclass(frozen=True)
class Factory:
    """The objects that source and sink consult; a planted mutant takes the place of one of them."""

    partition: Callable[[str, int], Partition] = Partition
    lanes: Callable[[], Lanes] = Lanes
    encode: Callable[[Commit, Identity], str] = Commit.metadata
    decode: Callable[[str | None, Identity, int], Restored] = decode
    starting_point: Callable[[Restored | None, int, int], Start] = starting_point
    nobody_had: Callable[[Partition, Restored | None], bool] = nobody_had
    after_crash: Callable[[Marks], tuple[int, Trial | None]] = after_crash
    trial_time: Callable[[int, int], float | None] = trial_time
    foremost: Callable[[Sequence[Record]], Record] = foremost
    charge: Charge = charge
    log: type[Log] = Log
    reading: type[Reading] = Reading
    memory: type[TaskMemory] = TaskMemory
    truncation: Callable[[Iterable[Partition]], Mapping[int, int]] = committed
