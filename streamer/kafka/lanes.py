"""Key order: of the records with one key, one at a time, in the order in which they came."""

from collections import deque

from streamer.kafka.record import LOST, Record

_Lane = tuple[str, int, bytes]


class Lanes:
    """One lane per topic, partition number and key, for all partitions of one owner.

    Invariants:

    * A lane has at most one holder, and only the holder's `leave` frees it. A lane's name holds no partition
      object, so a key stays locked for a new opening of the partition while a record of the old one runs.
    * Who waits is let in in the order of `enter`; what became lost while it waited is never let in.
    * A lane exists while it has a holder: nothing remains of a key with nothing in it.
    * A record without a key is in no lane and always free.
    """

    __slots__ = ("_holders", "_queues", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self._holders: dict[_Lane, Record] = {}
        self._queues: dict[_Lane, deque[Record]] = {}

    def __len__(self) -> int:
        """How many keys are locked."""
        return len(self._holders)

    def enter(self, record: Record) -> bool:
        """Whether `record` may run now; if not, a later `leave` returns it."""
        if record.key is None:
            return True
        partition = record.partition
        lane = (partition.topic, partition.number, record.key)
        if self._holders.setdefault(lane, record) is record:
            return True
        self._queues.setdefault(lane, deque()).append(record)
        self.waiting += 1
        return False

    def leave(self, record: Record) -> Record | None:
        """Free the lane of `record`, whose result is acknowledged or which was lost; who may run now instead.

        Without effect for one that does not hold its lane: lost while it waited, it is skipped in its turn.
        """
        if record.key is None:
            return None
        partition = record.partition
        lane = (partition.topic, partition.number, record.key)
        if self._holders.get(lane) is not record:
            return None
        queue = self._queues.get(lane)
        while queue:
            following = queue.popleft()
            self.waiting -= 1
            if following.state is not LOST:
                self._holders[lane] = following
                return following
        self._queues.pop(lane, None)
        del self._holders[lane]
        return None
