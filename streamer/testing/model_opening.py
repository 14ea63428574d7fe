"""A naive model of one assigned partition, to hold the real one against."""

from __future__ import annotations

from collections.abc import Container, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from streamer.kafka.ledger import SPARSE_UNFINISHED, SPARSE_WINDOW, WINDOW
from streamer.kafka.metadata import Trial
from streamer.kafka.partition import Partition
from streamer.kafka.record import Record
from streamer.testing.model_broker import Log, Message
from streamer.testing.report import Violation

if TYPE_CHECKING:
    from streamer.testing.model_journal import Channel
    from streamer.testing.model_transactions import Transaction

State = tuple[int, int, bool, Trial | None, int]


class Opening:
    """Sets of offsets, and every answer computed from them anew."""

    def __init__(self, partition: Partition, log: Log, nonce: bytes, headroom: int) -> None:
        self.partition = partition
        self.log = log
        self.nonce = nonce
        self.headroom = headroom
        self.index = 0  # of the message that the consumer reads next
        self.position = 0
        self.opened = self.suspended = self.closed = self.draining = False
        self.restored: frozenset[int] = frozenset()
        self.pending: dict[int, Record] = {}
        self.admitted: set[int] = set()
        self.parked: set[int] = set()
        self.gone: set[int] = set()
        self.again: set[int] = set()  # of those, what is being read again
        self.started: set[int] = set()  # what was begun and is unfinished
        self.waiting: dict[int, Record] = {}  # behind their keys
        self.published: dict[bytes, int] = {}  # the last offset of each key
        self.acknowledged: State | None = None
        self.reach = self.begun = self.restarted_below = self.level = 0
        self.crashed = self.began = False
        self.opened_at = 0
        self.delivered = self.running = self.late = self.lost = 0
        self.committing = self.deposed = self.fenced = False
        """A commit is on its way; somebody else has the partition, or even its producer."""
        self.transaction: Transaction | None = None
        self.channel: Channel
        self.epoch = 0
        self.deposals = 0
        """How often somebody else got the partition: what was sampled before is of an older generation."""

    def open(self, frontier: int, restored: frozenset[int]) -> None:
        self.opened = True
        self.restored = restored
        self.index = self.log.index(frontier)
        self._advance(frontier)
        self.reach = self.begun = self.opened_at = self.position

    def deliver(self, messages: Sequence[Message], records: list[Record], position: int) -> None:
        """Compare what of a poll was admitted with what is neither finished nor under way."""
        at, restored, gone = self.position, self.restored, self.gone
        expected = [
            m.offset for m in messages if (m.offset >= at and m.offset not in restored) or m.offset in gone
        ]
        admitted = [record.offset for record in records]
        if dropped := set(expected).difference(admitted):
            raise Violation("one_result", f"{sorted(dropped)} were polled and not admitted")
        if admitted != expected:
            raise Violation("holes_survive", f"{admitted} are admitted instead of {expected}")
        before = len(self.pending)
        for record in records:
            self.pending[record.offset] = record
            if record.restarted != (record.offset < self.restarted_below):
                raise Violation("reach", f"{record!r} was restarted: {not record.restarted} is right")
        self.delivered += len(self.pending) - before
        self.gone.difference_update(expected)
        self.again.difference_update(expected)
        self.admitted.update(expected)
        self._advance(position)

    def is_lost(self, record: Record) -> bool:
        offset = record.offset
        return self.closed or offset in self.gone or self.pending.get(offset) is not record

    def let_go(self, *, parked: bool = True) -> int:
        """Returns how many went."""
        going = self.admitted | self.parked if parked else set(self.admitted)
        self.gone |= going
        self.lost += len(going)
        self.admitted.clear()
        if parked:
            self.restarted_below = max(self.restarted_below, max(self.parked, default=-1) + 1)
            self.parked.clear()
            self.draining = True
        return len(going)

    def suspend(self) -> None:
        self.opened, self.suspended = False, True

    def resume(self) -> int:
        """Returns the offset to read on from."""
        self.opened, self.suspended = True, False
        self.acknowledged = None
        self.reach = self.frontier
        again = min(self.gone, default=self.position)
        self.again = set(self.gone)
        self.index = self.log.index(again)
        return again

    @property
    def frontier(self) -> int:
        return min(self.pending, default=self.position)

    def state(self, leaving: bool, batch: Container[int] = ()) -> State:
        """Differs when there is something new to commit."""
        left = [offset for offset in self.pending if offset not in batch] if batch else self.pending
        frontier = min(left, default=self.position)
        if frontier >= self.restarted_below:
            self.level = 0
        return frontier, self.delivered - len(left), leaving, self.partition.suspicion.trial, self.level

    def finished(self, batch: Container[int] = ()) -> frozenset[int]:
        """Every offset above the frontier that must be remembered, gaps among them."""
        left = {offset for offset in self.pending if offset not in batch} if batch else self.pending.keys()
        first = min(left, default=self.position)
        ahead = {offset for offset in self.restored if offset > self.position}
        return frozenset(ahead.union(range(first, self.position)) - left)

    def check(self) -> None:
        """Compare everything that the partition says with what it should say."""
        partition, finished, frontier = self.partition, self.finished(), self.frontier
        window, unfinished = self.position - frontier, len(self.pending)
        end = max(self.position, max(finished, default=0) + 1)
        dense = window <= WINDOW
        sparse = window < SPARSE_WINDOW and unfinished <= SPARSE_UNFINISHED
        expected = {
            "frontier": frontier,
            "position": self.position,
            "ledger.window": window,
            "ledger.holes": [offset for offset in range(frontier + 1, end) if offset not in finished],
            "running": self.running,
            "late": self.late,
            "lost": self.lost,
            "reach.acknowledged": self.reach,
            "suspicion.below": self.restarted_below,
            "has_room": (dense or sparse or bool(self.again)) and self.opened,
        }
        self.channel.check(self.is_unfinished)
        for name, value in expected.items():
            found = attrgetter(name)(partition)
            if found != value:
                raise Violation(name, f"{found}, not {value}")
        if len(partition.ledger.unfinished) != unfinished:
            raise Violation("unfinished", f"{len(partition.ledger.unfinished)}, not {unfinished}")
        if partition.ledger.delivered != partition.ledger.finished + unfinished:
            raise Violation("counts", "what was delivered is neither finished nor unfinished")

    def is_unfinished(self, offset: int) -> bool:
        """Whether its task is still to be answered."""
        return offset in self.pending or (offset >= self.position and offset not in self.restored)

    def _advance(self, position: int) -> None:
        self.position = max(position, self.position)
        while self.position in self.restored:
            self.position += 1
        if self.restored and self.position > max(self.restored):
            self.restored = frozenset()
