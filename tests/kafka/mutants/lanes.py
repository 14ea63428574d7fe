"""Mistakes of key order."""

from streamer.kafka.lanes import Lanes
from streamer.kafka.record import LOST
from tests.kafka.mutants.planting import mutant


@mutant("lanes")
class LetInTwoAtOnce(Lanes):
    """Who is let in does not lock the lane: the next arrival runs beside it."""

    def leave(self, record):
        following = super().leave(record)
        if following is not None:
            self._holders.pop((following.partition.topic, following.partition.number, following.key))
        return following


@mutant("lanes")
class LeftByWhoWaits(Lanes):
    """A record that was lost while it waited frees the lane for others."""

    def leave(self, record):
        if record.key is not None:
            lane = (record.partition.topic, record.partition.number, record.key)
            if lane in self._holders:
                self._holders[lane] = record
        return super().leave(record)


@mutant("lanes")
class NotLockedAcrossOpenings(Lanes):
    """The lock belongs to the assignment: when the partition comes straight back, the key runs twice."""

    def enter(self, record):
        if record.key is not None:
            lane = (record.partition.topic, record.partition.number, record.key)
            holder = self._holders.get(lane)
            if holder is not None and holder.partition is not record.partition:
                del self._holders[lane]
        return super().enter(record)


@mutant("lanes")
class LostAreLetIn(Lanes):
    """A record that was lost while it waited is let in."""

    def leave(self, record):
        queue = None
        if record.key is not None:
            queue = self._queues.get((record.partition.topic, record.partition.number, record.key))
        first = queue[0] if queue else None
        following = super().leave(record)
        return first if first is not None and first.state is LOST else following


@mutant("lanes")
class LastInFirstOut(Lanes):
    """Who came last is let in first."""

    def leave(self, record):
        if record.key is not None:
            queue = self._queues.get((record.partition.topic, record.partition.number, record.key))
            if queue:
                queue.reverse()
        return super().leave(record)


@mutant("lanes")
class LanesLeak(Lanes):
    """A key stays locked when the last of its records has left."""

    def leave(self, record):
        following = super().leave(record)
        if following is None and record.key is not None and record.state is LOST:
            self._holders.setdefault((record.partition.topic, record.partition.number, record.key), record)
        return following
