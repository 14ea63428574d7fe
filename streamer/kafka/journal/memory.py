"""What one task remembers, in the journal of its record's partition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from streamer.events import Outcome
from streamer.kafka.journal.log import Log
from streamer.kafka.partition import Partition
from streamer.kafka.record import PARKED, RUNNING, Record


class Way(Protocol):
    """How the notes of a partition's tasks get into its journal."""

    @property
    def log(self) -> Log: ...

    @property
    def closed(self) -> bool: ...

    def note(self, offset: int, outcome: Outcome) -> int:
        """Write it soon; its ticket."""
        ...

    async def settle(self, ticket: int) -> None:
        """Return once it is durable, or there is no way any more."""
        ...


class Standing(Protocol):
    """Whether this worker still is in its group, as far as it can know."""

    def trusts(self, partition: Partition) -> bool:
        """Whether a partition is still its own."""
        ...

    async def wait(self, until: Callable[[], bool]) -> None:
        """Return once that is so; it has to do with the group."""
        ...


class TaskMemory:
    """A `TaskJournal`: what the engine may ask and tell of one record.

    While the group has not heard of this worker for long, its tasks may be somebody else's.
    ``park`` and ``unpark`` are told when the task begins and ends to do nothing but wait.

    Invariant: nothing is noted of a task that has its result: what it left would never be forgotten.
    """

    __slots__ = ("channel", "membership", "parking", "record", "restarted", "settling", "ticket", "unparking")

    def __init__(
        self,
        record: Record,
        channel: Way,
        membership: Standing,
        *,
        park: Callable[[Record], None],
        unpark: Callable[[Record], None],
    ) -> None:
        self.record = record
        self.channel = channel
        self.membership = membership
        self.restarted = record.restarted or channel.log.remembers(record.offset)
        self.parking = park
        self.unparking = unpark
        self.ticket = 0
        self.settling = 0
        """How many of its calls wait until they may begin."""

    @property
    def unsettled(self) -> bool:
        return not self.channel.log.settled(self.ticket)

    @property
    def unsure(self) -> bool:
        return not self.membership.trusts(self.record.partition)

    @property
    def gone(self) -> bool:
        return not (self.alive and self.record.partition.alive) or self.channel.closed

    @property
    def alive(self) -> bool:
        """Whether its coroutine is still this worker's business."""
        return self.record.state is RUNNING or self.record.state is PARKED

    def recall(self, path: str, number: int) -> Outcome | None:
        return self.channel.log.recall(self.record.offset, path, number)

    def note(self, outcome: Outcome) -> None:
        if self.alive:
            self.ticket = self.channel.note(self.record.offset, outcome)

    async def settle(self) -> None:
        self.settling += 1
        try:
            await self.channel.settle(self.ticket)
            if self.unsure:
                await self.membership.wait(lambda: self.gone or not self.unsure)
        finally:
            self.settling -= 1

    @property
    def held_by(self) -> str | None:
        """What its next call waits for, if any does: for whoever wants to see what it does."""
        if not self.settling:
            return None
        return "journal" if self.unsettled else "group"

    def park(self) -> None:
        self.parking(self.record)

    def unpark(self) -> None:
        self.unparking(self.record)
