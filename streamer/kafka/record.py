"""One input record on its way from poll to acknowledged result, and the states it may take."""

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from streamer.kafka.partition import Partition
    from streamer.step import Step


class State(IntEnum):
    """Where a record is.

    *Committed* is not among them: a record is committed when its partition's frontier, as the broker has
    acknowledged it, has passed the record's offset or names it among the finished ones.
    """

    RECEIVED = 0  # polled; its partition has not admitted it yet
    ADMITTED = 1  # its offset is in the ledger; nothing has begun
    RUNNING = 2  # its coroutine runs
    ANSWERED = 3  # there is a result that is not sent yet
    PUBLISHING = 4  # the result is sent and not acknowledged yet
    ACKNOWLEDGED = 5  # the result is durable: the offset is finished
    LOST = 6  # it will not be finished as this record; whoever reads it again will
    PARKED = 7  # waits long, without a slot; its key stays locked


# Members are singletons, so `is` on these names is the cheapest comparison there is.
RECEIVED = State.RECEIVED
ADMITTED = State.ADMITTED
RUNNING = State.RUNNING
ANSWERED = State.ANSWERED
PUBLISHING = State.PUBLISHING
ACKNOWLEDGED = State.ACKNOWLEDGED
LOST = State.LOST
PARKED = State.PARKED

TRANSITIONS: Mapping[State, frozenset[State]] = {
    RECEIVED: frozenset({ADMITTED}),
    ADMITTED: frozenset({RUNNING, LOST}),
    RUNNING: frozenset({ANSWERED, PARKED, LOST}),
    PARKED: frozenset({RUNNING, LOST}),
    ANSWERED: frozenset({PUBLISHING, LOST}),
    PUBLISHING: frozenset({ACKNOWLEDGED, ANSWERED, LOST}),
    ACKNOWLEDGED: frozenset(),
    LOST: frozenset(),
}
"""Every legal step. `Partition` is the only one that takes them."""


class IllegalTransition(AssertionError):
    """A record was asked to take a step that `TRANSITIONS` does not have: a bug of the caller."""

    def __init__(self, record: "Record", target: State) -> None:
        super().__init__(f"offset {record.offset}: {record.state.name} -> {target.name}")
        self.offset = record.offset
        self.source = record.state
        self.target = target


class ConsumerRecordLike(Protocol):
    """What a polled message must have for the core; the rest of it is nobody's business here."""

    @property
    def offset(self) -> int: ...

    @property
    def key(self) -> bytes | None: ...


class Record:
    """One input record; its state is changed by its partition and by nobody else."""

    __slots__ = ("key", "message", "offset", "partition", "poison", "restarted", "state", "step", "work")

    def __init__(self, partition: "Partition", message: Any) -> None:
        self.partition = partition
        self.message = message
        self.offset: int = message.offset
        self.key: bytes | None = message.key
        self.state = RECEIVED
        self.restarted = False
        """Another owner, or this one before a crash, may have begun it."""
        self.poison = False
        """It took its worker down too often to be tried again."""
        self.work: Any = None
        """What runs it, for whoever has to end that."""
        self.step: Step | None = None  # of the task that runs, for whoever wants to see what it does

    def __repr__(self) -> str:
        return f"<Record {self.partition.topic}-{self.partition.number}@{self.offset} {self.state.name}>"
