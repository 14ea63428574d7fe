"""Mistakes of what keeps the finished and the unfinished apart."""

from itertools import islice

from streamer.kafka.ledger import Ledger
from streamer.kafka.record import ANSWERED, PUBLISHING
from tests.kafka.mutants.planting import mutant


@mutant("ledger")
class FrontierOffByOne(Ledger):
    """The last finished one is committed instead of the first unfinished, as if offsets were counts."""

    @property
    def frontier(self):
        return super().frontier + (1 if self.unfinished else 0)


@mutant("ledger")
class HighWaterMark(Ledger):
    """The position is committed, whatever is unfinished below it."""

    @property
    def frontier(self):
        return self.position


@mutant("ledger")
class FrontierOfTheLastFinished(Ledger):
    """In-order completion is taken for granted: what finishes carries the frontier with it."""

    def finish(self, offset):
        finished = super().finish(offset)
        if finished:
            self._frontier = max(self._frontier, offset + 1)
        return finished


@mutant("ledger")
class StaleFrontier(Ledger):
    """The frontier that is remembered outlives the offset it stood for."""

    def finish(self, offset):
        return self.unfinished.pop(offset, None) is not None


@mutant("ledger")
class GapBehindTheLastLost(Ledger):
    """Positions are read from records only: control records at the end are never passed."""

    def deliver(self, records, position):
        super().deliver(records, position if records else 0)


@mutant("ledger")
class GapAtTheSeamLost(Ledger):
    """What lies between the last record of a poll and the position after it is never finished."""

    def deliver(self, records, position):
        super().deliver(records, records[-1].offset + 1 if records else position)


@mutant("ledger")
class FinishedTwice(Ledger):
    """To finish what is finished passes as success."""

    def finish(self, offset):
        super().finish(offset)
        return True


@mutant("ledger")
class RestoredHolesIgnored(Ledger):
    """Everything above the frontier runs again after a crash."""

    def fresh(self, messages):
        return [message for message in messages if message.offset >= self.position]


@mutant("ledger")
class DeliveredTwice(Ledger):
    """What the consumer returns a second time is admitted a second time."""

    def fresh(self, messages):
        return messages


@mutant("ledger")
class RestoredHolesForgotten(Ledger):
    """The first commit after a crash remembers only what was finished since."""

    @property
    def end(self):
        return self.position

    @property
    def holes(self):
        return list(islice(self.unfinished, 1, None))


@mutant("ledger")
class NoWindow(Ledger):
    """Polls go on behind a stuck record until the metadata can't hold what is finished."""

    has_room = True
    room = 500


@mutant("ledger")
class HalfAWindow(Ledger):
    """Only the rule of the bitset is kept: a few stuck records stop the partition early."""

    @property
    def has_room(self):
        return self.window <= 24_000

    @property
    def room(self):
        return 256 if self.has_room else 0


@mutant("ledger")
class LostAreNeverFresh(Ledger):
    """What was let go counts as under way when it is read again."""

    def fresh(self, messages):
        return [message for message in super().fresh(messages) if message.offset >= self.position]


@mutant("ledger")
class UnderWayAreFresh(Ledger):
    """What still runs is admitted a second time when the consumer goes back."""

    def fresh(self, messages):
        fresh = set(super().fresh(messages))
        return [message for message in messages if message in fresh or message.offset in self.unfinished]


@mutant("ledger")
class NoRoomToReadAgain(Ledger):
    """A full window takes nothing in, not even what it holds and has lost."""

    def begin_again(self):
        again = super().begin_again()
        self._again = 0
        return again


@mutant("ledger")
class BatchForgetsTheFrontier(Ledger):
    """A transaction's holes are right, and its offset is the one before it."""

    def without(self, offsets):
        _, holes = super().without(offsets)
        return self.frontier, holes


@mutant("ledger")
class BatchIsAllThatWasSent(Ledger):
    """What else has its result, but not in this transaction, counts as finished with it."""

    def without(self, offsets):
        left = [r.offset for r in self.unfinished.values() if r.state not in (PUBLISHING, ANSWERED)]
        return (left[0], left[1:]) if left else (self.position, left)
