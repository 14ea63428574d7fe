"""A naive model of one assigned partition, to hold the real one against."""

from collections.abc import Sequence

from streamer.kafka.ledger import SPARSE_UNFINISHED, SPARSE_WINDOW, WINDOW
from streamer.kafka.partition import Partition
from streamer.kafka.record import Record
from streamer.testing.model_broker import Log, Message
from streamer.testing.report import Violation


class Opening:
    """Sets of offsets, and every answer computed from them anew."""

    def __init__(self, partition: Partition, log: Log, nonce: bytes) -> None:
        self.partition = partition
        self.log = log
        self.nonce = nonce
        self.index = 0  # of the message that the consumer reads next
        self.position = 0
        self.opened = self.closed = self.draining = False
        self.restored: frozenset[int] = frozenset()
        self.pending: set[int] = set()
        self.admitted: set[int] = set()
        self.parked: set[int] = set()
        self.gone: set[int] = set()
        self.waiting: dict[int, Record] = {}  # behind their keys
        self.published: dict[bytes, int] = {}  # the last offset of each key
        self.acknowledged: tuple[int, int] | None = None
        self.delivered = self.running = self.late = self.lost = 0

    def open(self, frontier: int, restored: frozenset[int]) -> None:
        self.opened = True
        self.restored = restored
        self.index = self.log.index(frontier)
        self._advance(frontier)

    def deliver(self, messages: Sequence[Message], admitted: list[int], position: int) -> None:
        """Compare what of a poll was admitted with what is neither finished nor delivered before."""
        expected = [m.offset for m in messages if m.offset >= self.position and m.offset not in self.restored]
        if dropped := set(expected).difference(admitted):
            raise Violation("one_result", f"{sorted(dropped)} were polled and not admitted")
        if admitted != expected:
            raise Violation("holes_survive", f"{admitted} are admitted instead of {expected}")
        self.pending.update(expected)
        self.admitted.update(expected)
        self.delivered += len(expected)
        self._advance(position)

    def is_lost(self, offset: int) -> bool:
        return self.closed or offset in self.gone

    def let_go(self) -> int:
        """Returns how many went."""
        going = self.admitted | self.parked
        self.gone |= going
        self.lost += len(going)
        self.admitted.clear()
        self.parked.clear()
        self.draining = True
        return len(going)

    @property
    def frontier(self) -> int:
        return min(self.pending, default=self.position)

    @property
    def state(self) -> tuple[int, int]:
        """Differs when there is something new to commit."""
        return self.frontier, self.delivered - len(self.pending)

    @property
    def finished(self) -> frozenset[int]:
        """Every offset above the frontier that must be remembered, gaps among them."""
        ahead = {offset for offset in self.restored if offset > self.position}
        return frozenset(ahead.union(range(self.frontier, self.position)) - self.pending)

    def check(self) -> None:
        """Compare everything that the partition says with what it should say."""
        partition, finished, frontier = self.partition, self.finished, self.frontier
        window, unfinished = self.position - frontier, len(self.pending)
        end = max(self.position, max(finished, default=0) + 1)
        dense = window <= WINDOW
        sparse = window < SPARSE_WINDOW and unfinished <= SPARSE_UNFINISHED
        expected = {
            "frontier": frontier,
            "position": self.position,
            "window": window,
            "holes": [offset for offset in range(frontier + 1, end) if offset not in finished],
            "unfinished": unfinished,
            "running": self.running,
            "late": self.late,
            "lost": self.lost,
            "has_room": (dense or sparse) and not self.closed,
        }
        for name, value in expected.items():
            if getattr(partition, name) != value:
                raise Violation(name, f"{getattr(partition, name)}, not {value}")
        if partition.ledger.delivered != partition.ledger.finished + unfinished:
            raise Violation("counts", "what was delivered is neither finished nor unfinished")

    def _advance(self, position: int) -> None:
        self.position = max(position, self.position)
        while self.position in self.restored:
            self.position += 1
        if self.restored and self.position > max(self.restored):
            self.restored = frozenset()
