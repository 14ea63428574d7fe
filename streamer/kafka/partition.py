"""The state machine of one assigned partition."""

from collections.abc import Iterable, Sequence

from streamer.kafka.commit import Commit
from streamer.kafka.ledger import Interval, Ledger
from streamer.kafka.record import (
    ACKNOWLEDGED,
    ADMITTED,
    ANSWERED,
    LOST,
    PARKED,
    PUBLISHING,
    RUNNING,
    ConsumerRecordLike,
    IllegalTransition,
    Record,
    State,
)


class Partition:
    """One assignment of one partition, from the callback that brings it to the one that takes it.

    Invariants:

    * It is closed until it is opened, is opened once, and stays closed once it was closed. While it is closed
      nothing is admitted, finished or committed.
    * Records take the steps of `TRANSITIONS`, and no others.
    * An offset is finished by `finish` alone, when its result or dead letter is acknowledged; so no frontier
      that `commit` names is above an offset whose result is not durable.
    * What is let go or lost stays unfinished: the next owner reads it again.
    * `running` counts the records whose coroutine runs, also in a closed partition; each comes back once,
      through `answer` or `park`.
    * There is something to commit exactly when the state differs from the one last acknowledged.
    """

    ledger: Ledger  # there is none before `open`: an unknown frontier is not an offset
    ledger_type = Ledger

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.nonce = bytes(8)
        self.is_open = False
        self.running = 0
        self.late = 0
        self.lost = 0
        self._closed = False
        self.acknowledged: Commit | None = None  # the last of this opening's commits that the broker took
        self._clean: tuple[int, int] | None = None

    def open(
        self,
        frontier: int,
        finished: Iterable[Interval] = (),
        *,
        nonce: bytes = bytes(8),
        committed: bool = True,
    ) -> bool:
        """Begin at `frontier`, without what is restored as finished; False when it was closed meanwhile.

        `nonce` tells this opening's commits from all others'. `committed` is whether `frontier` came from a
        commit; when it did not, the first `commit` pins it.
        """
        if self._closed:
            return False
        if self.is_open:
            raise ValueError(f"{self.topic}-{self.number} is open: a new assignment is a new Partition")
        self.ledger = self.ledger_type(frontier, finished)
        self.nonce = nonce
        self._clean = (frontier, 0) if committed else None
        self.is_open = True
        return True

    def deliver(self, messages: Sequence[ConsumerRecordLike], position: int) -> list[Record]:
        """What of a poll is to be worked on; `position` is the consumer's, after the poll.

        Also to be called without messages: behind the last record the position may still move.
        """
        if not self.is_open:
            return []
        records = []
        for message in self.ledger.fresh(messages):
            record = Record(self, message)
            record.state = ADMITTED
            records.append(record)
        self.ledger.deliver(records, position)
        return records

    def begin(self, record: Record) -> bool:
        """Run it; False when it was lost meanwhile."""
        return self._run(record, ADMITTED)

    def answer(self, record: Record) -> bool:
        """Its coroutine has ended; False when the partition was closed since: drop the result."""
        kept = self._step(record, RUNNING, ANSWERED)
        self.running -= 1
        return kept

    def park(self, record: Record) -> bool:
        """It waits without running; False when the partition was closed since."""
        kept = self._step(record, RUNNING, PARKED)
        self.running -= 1
        return kept

    def unpark(self, record: Record) -> bool:
        """It runs again; False when it was lost meanwhile."""
        return self._run(record, PARKED)

    def publish(self, record: Record) -> bool:
        """Its result is about to be sent; False when the partition was closed since: don't send it."""
        return self._step(record, ANSWERED, PUBLISHING)

    def refuse(self, record: Record) -> bool:
        """The result was not taken: it, or a failed one, is to be sent; False when closed since."""
        return self._step(record, PUBLISHING, ANSWERED)

    def finish(self, record: Record) -> bool:
        """Its result or dead letter is acknowledged; False when that no longer counts here, being closed."""
        if record.state is not PUBLISHING:
            raise IllegalTransition(record, ACKNOWLEDGED)
        if record.partition is not self:
            raise ValueError(f"{record!r} is of another assignment")
        if not self.is_open:
            record.state = LOST
            return False
        record.state = ACKNOWLEDGED
        return self.ledger.finish(record.offset)

    def let_go(self) -> int:
        """Lose what has not begun and what is parked, so that only what runs has to be waited for."""
        if not self.is_open:
            return 0
        gone = 0
        for record in self.ledger.unfinished.values():
            if record.state is ADMITTED or record.state is PARKED:
                record.state = LOST
                gone += 1
        self.lost += gone
        return gone

    def close(self) -> None:
        """It is no longer ours: what has not begun is lost, later answers are dropped and counted."""
        self.let_go()
        self.is_open = False
        self._closed = True

    def commit(self) -> Commit | None:
        """What to commit now; None when that is what was last acknowledged."""
        if not self.is_open:
            return None
        ledger = self.ledger
        # Offsets only enter in order and only leave finished: these two numbers stand for the whole state.
        frontier, finished = ledger.frontier, ledger.finished
        if (frontier, finished) == self._clean:
            return None
        return Commit(
            self.topic, self.number, self.nonce, frontier, ledger.end, tuple(ledger.holes), finished
        )

    def committed(self, commit: Commit) -> bool:
        """The broker has acknowledged exactly `commit`; False when it is not of this opening.

        The last to be acknowledged counts, not the highest: of two acknowledgements out of order nobody knows
        which commit the broker holds, and to commit once more is harmless.
        """
        if commit.nonce != self.nonce:
            return False
        self.acknowledged = commit
        self._clean = (commit.frontier, commit.finished)
        return True

    @property
    def frontier(self) -> int:
        return self.ledger.frontier

    @property
    def position(self) -> int:
        return self.ledger.position

    @property
    def holes(self) -> list[int]:
        return self.ledger.holes

    @property
    def window(self) -> int:
        return self.ledger.window

    @property
    def unfinished(self) -> int:
        return len(self.ledger.unfinished)

    @property
    def has_room(self) -> bool:
        return self.is_open and self.ledger.has_room

    @property
    def room(self) -> int:
        return self.ledger.room if self.is_open else 0

    def _run(self, record: Record, source: State) -> bool:
        if record.state is source:
            record.state = RUNNING
            self.running += 1
            return True
        if record.state is LOST:
            return False
        raise IllegalTransition(record, RUNNING)

    def _step(self, record: Record, source: State, target: State) -> bool:
        if record.state is not source:
            raise IllegalTransition(record, target)
        if self.is_open:
            record.state = target
            return True
        record.state = LOST
        self.late += 1
        return False
