"""Which offsets of one partition are unfinished."""

from collections import deque
from collections.abc import Container, Iterable, Sequence
from typing import TypeVar

from streamer.kafka.record import LOST, ConsumerRecordLike, Record

Interval = tuple[int, int]
"""Offsets from the first up to, and without, the second."""

SLACK = 256
"""So much one more poll may add to a window, and it still fits (`metadata.BITS`)."""
WINDOW = 24_000 - SLACK
"""A bitset of so many offsets, and of a poll more, always fits into a commit's metadata …"""
SPARSE_UNFINISHED = 600
"""… and so do the run lengths of so few unfinished offsets …"""
SPARSE_WINDOW = 2**21
"""… in a window so wide."""

_UNKNOWN = -1
_NEVER = (2**63, 2**63)

M = TypeVar("M", bound=ConsumerRecordLike)


class Ledger:
    """The unfinished offsets of one partition, from its opening on.

    Invariants:

    * Every offset below `position` that is not in `unfinished` is finished. So a gap in the log (compaction,
      aborted transactions, control records, inside of a poll or at the seam of two) costs nothing.
    * `frontier` is the lowest unfinished offset, or `position` when there is none. It never goes back, and is
      itself never finished: what was restored as finished right at `position` is stepped over.
    * An offset leaves `unfinished` through `finish`, once.
    * What was restored as finished and is not delivered again yet lies above `position`, and stays part of
      what is to be committed (`end`, `holes`) until `position` has passed it.
    * `lost` is how many of them were let go and are not delivered again yet.
    * `unfinished` is in the order of offsets: polls deliver in order, and nothing is delivered twice but what was
      lost, which then takes the place that it had.
    """

    __slots__ = ("_again", "_frontier", "_restored", "delivered", "lost", "position", "unfinished")

    def __init__(self, frontier: int, finished: Iterable[Interval] = ()) -> None:
        self.unfinished: dict[int, Record] = {}
        self.position = frontier
        self.delivered = self.lost = 0
        self._again = 0  # how many lost ones the consumer has gone back for
        self._restored = deque(finished)
        self._frontier = _UNKNOWN
        self._advance(frontier)

    def fresh(self, messages: Sequence[M]) -> Sequence[M]:
        """Those of `messages` that are neither under way already nor finished: new ones, and ones that were lost."""
        if not messages or not (self._restored or messages[0].offset < self.position):
            return messages
        position, unfinished = self.position, self.unfinished
        intervals = iter(self._restored)
        start, stop = next(intervals, _NEVER)
        found = []
        for message in messages:
            offset = message.offset
            if offset < position:
                if offset in unfinished and unfinished[offset].state is LOST:
                    found.append(message)
                continue
            while stop <= offset:
                start, stop = next(intervals, _NEVER)
            if offset < start:
                found.append(message)
        return found

    def deliver(self, records: Sequence[Record], position: int) -> None:
        """Enter `records`; everything else below `position`, where the consumer stands now, is finished."""
        if records and records[-1].offset >= position:
            # The two are not of one poll. To believe either would call finished what was never delivered.
            raise ValueError(f"position {position} is not behind the last record, {records[-1].offset}")
        unfinished = self.unfinished
        if not unfinished:
            self._frontier = _UNKNOWN
        before = len(unfinished)
        for record in records:
            unfinished[record.offset] = record
        new = len(unfinished) - before
        self.delivered += new
        again = len(records) - new
        self.lost -= again
        self._again = max(0, self._again - again)
        self._advance(position)

    def lose(self, record: Record) -> None:
        """Let go: it stays unfinished, and is to be delivered again."""
        record.state = LOST
        self.lost += 1

    def finish(self, offset: int) -> bool:
        """Take `offset` out; False when it is not there: never delivered, or finished before."""
        record = self.unfinished.pop(offset, None)
        if record is None:
            return False
        if record.state is LOST:
            self.lost -= 1
        if offset == self._frontier:
            self._frontier = _UNKNOWN
        return True

    def missing(self, beginning: int) -> int:
        """How many offsets are gone where the log begins at `beginning`: neither finished nor under way."""
        first = self.position
        lost = self.lost and sum(
            offset < beginning and r.state is LOST for offset, r in self.unfinished.items()
        )
        known = sum(max(0, min(stop, beginning) - start) for start, stop in self._restored)
        return lost + max(0, beginning - first) - known

    def unfinished_below(self, offset: int) -> int:
        """How many offsets below it are not known to be finished."""
        if offset <= self.frontier:
            return 0
        ahead = sum(hole < offset for hole in self.holes)
        return 1 + ahead + max(0, offset - max(self.end, self.frontier + 1))

    def skip(self, beginning: int) -> None:
        """The log begins at `beginning` now: what is gone is not waited for."""
        for offset, record in list(self.unfinished.items()):
            if offset < beginning and record.state is LOST:
                self.finish(offset)
        self.deliver((), beginning)

    @property
    def frontier(self) -> int:
        # Remembered, for looking up a dict's first key walks over all that was deleted in front of it.
        if self._frontier == _UNKNOWN:
            self._frontier = next(iter(self.unfinished), self.position)
        return self._frontier

    @property
    def end(self) -> int:
        """Above all that is known to be finished: `position`, or the end of what was restored."""
        return self._restored[-1][1] if self._restored else self.position

    @property
    def holes(self) -> list[int]:
        """The unfinished offsets between `frontier` and `end`, in order, both excluded."""
        offsets = list(self.unfinished)
        start = self.position
        for first, stop in self._restored:
            offsets.extend(range(start, first))
            start = stop
        return offsets[1:]

    def without(self, offsets: Container[int]) -> tuple[int, list[int]]:
        """What `frontier` and `holes` will be once `offsets` are finished, too."""
        left = [offset for offset in self.unfinished if offset not in offsets]
        start = self.position
        for first, stop in self._restored:
            left.extend(range(start, first))
            start = stop
        return (left[0], left[1:]) if left else (self.position, left)

    @property
    def begins_again_at(self) -> int:
        """From where a consumer that lost its place has to read: the first lost one, or where it was."""
        if not self.lost:
            return self.position
        lost = (offset for offset, record in self.unfinished.items() if record.state is LOST)
        return next(lost, self.position)

    def begin_again(self) -> int:
        """The same; for the lost ones there is room now, however full the window is: they are in it."""
        self._again = self.lost
        return self.begins_again_at

    @property
    def finished(self) -> int:
        """How many of the delivered ones are finished."""
        return self.delivered - len(self.unfinished)

    @property
    def window(self) -> int:
        return self.position - self.frontier

    @property
    def has_room(self) -> bool:
        """Whether another poll may be taken, whatever metadata the next commit will need."""
        window = self.position - self.frontier
        return (
            window <= WINDOW
            or self._again > 0
            or (window < SPARSE_WINDOW and len(self.unfinished) <= SPARSE_UNFINISHED)
        )

    @property
    def room(self) -> int:
        """How many records one more poll may bring, so that all that finishes above the frontier still fits.

        At least `SLACK` where `has_room`, but for the last of those that are read again; else 0. A record counts as one offset: where a poll also skips
        a gap of hundreds, and the window is nearly full of unfinished ones, it may outgrow the bitset; commits
        then remember the lower part of it until it is smaller again.
        """
        window = self.position - self.frontier
        unfinished = len(self.unfinished)
        dense = max(self._again, WINDOW + SLACK - window if window <= WINDOW else 0)
        if window < SPARSE_WINDOW and unfinished <= SPARSE_UNFINISHED:
            return max(dense, SPARSE_UNFINISHED + SLACK - unfinished)
        return dense

    def _advance(self, position: int) -> None:
        position = max(position, self.position)
        restored = self._restored
        while restored and restored[0][0] <= position:
            position = max(position, restored.popleft()[1])
        self.position = position
