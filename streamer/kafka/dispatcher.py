"""Records between the poll and the acknowledged result: which may run now, which do, how many more may come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from reactivex import abc

from streamer.kafka.committer import Committing
from streamer.kafka.journal.journals import Journals
from streamer.kafka.journal.memory import TaskMemory
from streamer.kafka.lanes import Lanes
from streamer.kafka.membership import Membership
from streamer.kafka.partition import Partition
from streamer.kafka.quarantine import Quarantine
from streamer.kafka.record import ADMITTED, LOST, PARKED, Record
from streamer.kafka.trials import Trials

IDLERS = 10
"""So many times ``outstanding`` may be parked, or wait behind their keys, before they count: they hold up nobody."""


class Dispatcher:
    """Sends records to the ``observer`` as they may run, and is told what becomes of them.

    ``outstanding`` bounds the records between the poll and the acknowledged result, and with that every queue
    behind this one. ``lanes`` keep key order.

    Invariants: ``waiting`` counts the records that were delivered, hold their key and have not begun; ``working``
    those begun and not done, but for the parked; ``occupied`` those sent that are to begin, or run and are not parked,
    also in partitions that are gone.
    """

    def __init__(
        self,
        committer: Committing,
        partitions: Callable[[], Iterable[Partition]],
        membership: Membership,
        quarantine: Quarantine,
        *,
        outstanding: int,
        lanes: Lanes | None,
        journals: Journals | None,
    ) -> None:
        self.committer = committer
        self.membership = membership
        self.outstanding = outstanding
        self.lanes = lanes
        self.journals = journals
        self.trials = Trials(quarantine, committer, partitions, self.send, lambda: self.occupied)
        self.observer: abc.ObserverBase[Record] | None = None
        self.room = asyncio.Event()
        """Set when there is room, or something else has changed."""
        self.waiting = self.working = self.parked = self.occupied = 0
        self.late = self.possible_duplicates = 0

    @property
    def free(self) -> int:
        """How many records more may be taken."""
        idle = self.parked + (self.lanes.waiting if self.lanes else 0)
        crowd = max(0, idle - IDLERS * self.outstanding)
        # what is held while suspects are tried must not keep the last of them from being read
        return self.outstanding - self.waiting - self.working - crowd + len(self.trials.held)

    async def change(self, seconds: float) -> None:
        """Wait until there is room, or something else has changed; at most so long."""
        self.room.clear()
        try:
            await asyncio.wait_for(self.room.wait(), seconds)
        except TimeoutError:
            return

    # --- before they run

    def enter(self, record: Record) -> None:
        """It was delivered."""
        if self.lanes is None or self.lanes.enter(record):
            self.push(record)

    def push(self, record: Record) -> None:
        """It may run as far as its key goes."""
        self.waiting += 1
        if not self.trials.take(record):
            self.send(record)

    def send(self, record: Record) -> None:
        assert self.observer is not None
        self.occupied += 1
        self.observer.on_next(record)

    async def reached(self, record: Record) -> None:
        """Wait until a commit says that this one may have begun; or it was let go."""
        partition = record.partition
        partition.about_to_begin(record)
        while record.state is ADMITTED and record.offset >= partition.reach.acknowledged:
            self.committer.hurry()
            await self.committer.turns.wait()

    def begin(self, record: Record) -> bool:
        """A run slot is free for it; False when it was let go meanwhile."""
        self.waiting -= 1
        if record.partition.begin(record):
            self.working += 1
            return True
        self.occupied -= 1
        self.leave(record)
        return False

    # --- while they run

    def memory(self, record: Record) -> TaskMemory | None:
        """What its task remembers."""
        if self.journals is None:
            return None
        return self.journals.memory(record, self.membership, self.park, self.unpark)

    def park(self, record: Record) -> None:
        """All that it does is wait for long: it does not count until it goes on."""
        record.partition.park(record)
        self.working -= 1
        self.occupied -= 1
        self.parked += 1
        self.room.set()

    def unpark(self, record: Record) -> None:
        """It goes on; what was let go meanwhile only ends."""
        if record.partition.unpark(record):
            self.parked -= 1
            self.working += 1
            self.occupied += 1

    # --- what becomes of them

    def answered(self, record: Record) -> bool:
        """It has its result; False when its partition is gone, and the result with it."""
        record.work = None
        if record.state is PARKED:
            self.unpark(record)
        if record.state is LOST:  # it was parked, and let go
            self.parked -= 1
            self.leave(record)
            return False
        self.occupied -= 1
        if record.partition.answer(record):
            return True
        self.late += 1
        self.done(record)
        return False

    def acknowledged(self, records: list[Record]) -> None:
        """Their results are in the output topic: their offsets are finished."""
        for record in records:
            record.partition.finish(record)
        self.working -= len(records)
        if self.lanes is not None:
            for record in records:
                self.leave(record)
        if not self.room.is_set():
            self.room.set()

    def done(self, record: Record) -> None:
        """Nothing of it is under way any more."""
        self.working -= 1
        self.leave(record)
        if not self.working:
            self.room.set()

    def leave(self, record: Record) -> None:
        """Its key is free for the next."""
        if self.lanes is not None:
            following = self.lanes.leave(record)
            if following is not None:
                self.push(following)
