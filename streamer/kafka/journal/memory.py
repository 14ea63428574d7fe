"""What one task remembers, in the journal of its record's partition."""

from __future__ import annotations

from collections.abc import Callable

from streamer.events import Outcome
from streamer.kafka.journal.channel import Channel
from streamer.kafka.record import PARKED, RUNNING, Record


class TaskMemory:
    """A `TaskJournal`: what the engine may ask and tell of one record.

    ``park`` and ``unpark`` are told when the task begins and ends to do nothing but wait.

    Invariant: nothing is noted of a task that has its result: what it left would never be forgotten.
    """

    __slots__ = ("channel", "parking", "record", "restarted", "ticket", "unparking")

    def __init__(
        self,
        record: Record,
        channel: Channel,
        *,
        park: Callable[[Record], None],
        unpark: Callable[[Record], None],
    ) -> None:
        self.record = record
        self.channel = channel
        self.restarted = record.restarted or channel.log.remembers(record.offset)
        self.parking = park
        self.unparking = unpark
        self.ticket = 0

    @property
    def unsettled(self) -> bool:
        return not self.channel.log.settled(self.ticket)

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
        await self.channel.settle(self.ticket)

    def park(self) -> None:
        self.parking(self.record)

    def unpark(self) -> None:
        self.unparking(self.record)
