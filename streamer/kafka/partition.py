"""The state machine of one assigned partition."""

from collections.abc import Iterable, Sequence

from streamer.kafka.checkpoint import Checkpoint, Journal
from streamer.kafka.commit import Commit
from streamer.kafka.ledger import Interval, Ledger
from streamer.kafka.metadata import Trial
from streamer.kafka.reach import Reach
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
from streamer.kafka.suspicion import Suspicion


class Partition:
    """One assignment of one partition, from the callback that brings it to the one that takes it for good.

    Invariants:

    * It is closed until it is opened, is opened once, and stays closed once it was closed. While it is closed
      nothing is admitted, finished or committed.
    * While it is suspended, between two assignments that may both be its own, nothing is admitted, published or
      committed; what runs goes on, and what it answers is kept until it is resumed or closed.
    * Records take the steps of `TRANSITIONS`, and no others.
    * Nothing begins beyond its `reach`.
    * An offset is finished by `finish` alone, when its result or dead letter is acknowledged; so no frontier
      that `commit` names is above an offset whose result is not durable.
    * What is let go or lost stays unfinished: the next owner reads it again, or this one when it is resumed.
    * `running` counts the records whose coroutine runs, also in a closed partition; each comes back once,
      through `answer` or `park`.

    What makes it up has files of its own: which offsets are unfinished (`ledger`), how far records may begin
    (`reach`), what the owners before may have left (`suspicion`), what is committed (`checkpoint`).
    """

    ledger: Ledger  # there is none before `open`: an unknown frontier is not an offset
    reach: Reach
    checkpoint: Checkpoint
    ledger_type, reach_type, checkpoint_type = Ledger, Reach, Checkpoint

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.is_open = False
        self.suspended = False
        self.running = 0
        self.late = 0
        self.lost = 0
        self.suspicion = Suspicion()
        self.trusted = 0
        """How often its owner had been put out of the group when it was last seen that nobody else had it."""
        self.journal: Journal | None = None
        self._closed = False

    def open(
        self,
        frontier: int,
        finished: Iterable[Interval] = (),
        *,
        nonce: bytes = bytes(8),
        restarted_below: int = 0,
        headroom: int = 2**62,
        journal: Journal | None = None,
    ) -> bool:
        """Begin at `frontier`, without what is restored as finished; False when it was closed meanwhile.

        `nonce` tells this opening's commits from all others'; the first `commit` pins it. What is unfinished below
        `restarted_below` may have been begun before. `headroom` is how many offsets may be begun between two
        commits, when nothing is known of their pace.
        """
        if self._closed:
            return False
        if self.is_open:
            raise ValueError(f"{self.topic}-{self.number} is open: a new assignment is a new Partition")
        self.ledger = self.ledger_type(frontier, finished)
        self.reach = self.reach_type(self.ledger.position, headroom)
        self.suspicion.below = restarted_below
        self.journal = journal
        self.checkpoint = self.checkpoint_type(
            self.topic, self.number, nonce, self.ledger, self.reach, self.suspicion, journal
        )
        self.is_open = True
        return True

    def suspend(self) -> None:
        """It is taken, and may come back: what has not begun is lost, the rest is kept."""
        self.let_go(parked=False)
        self.suspended = self.is_open
        self.is_open = False

    def resume(self) -> int:
        """It came back and nobody had it meanwhile; the offset to read on from."""
        if not self.suspended:
            raise ValueError(f"{self.topic}-{self.number} was not suspended")
        self.suspended = False
        self.is_open = True
        self.checkpoint.resume()
        self.suspicion.come_back()
        return self.ledger.begin_again()

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
            record.restarted = self.suspicion.concerns(record)
            records.append(record)
        self.ledger.deliver(records, position)
        return records

    def suspect(self, level: int, trial: Trial | None) -> None:
        """Its owner before crashed: what that may have begun is suspect."""
        self.suspicion.after_crash(self.ledger.unfinished_below(self.suspicion.below), level, trial)

    def put_on_trial(self, trial: Trial | None) -> None:
        """What is tried next; to be committed before it begins."""
        self.suspicion.trial = trial
        if trial is not None:
            self.reach.began = True

    def about_to_begin(self, record: Record) -> None:
        """It is to be within the next commit's reach."""
        self.reach.extend(record.offset)

    def begin(self, record: Record) -> bool:
        """Run it; False when it was lost meanwhile."""
        offset = record.offset
        if offset >= self.reach.acknowledged and record.state is ADMITTED:
            raise IllegalTransition(record, RUNNING)
        began = self._run(record, ADMITTED)
        if began:
            self.reach.extend(offset)
        return began

    def answer(self, record: Record) -> bool:
        """Its coroutine has ended; False when the partition was closed since: drop the result."""
        if record.state is LOST:  # parked, it was let go, and its coroutine ended
            return False
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
        if not self.alive:
            record.state = LOST
            return False
        record.state = ACKNOWLEDGED
        if self.journal is not None:
            self.journal.forget(record.offset)
        return self.ledger.finish(record.offset)

    def let_go(self, *, parked: bool = True) -> int:
        """Lose what has not begun and what is parked, so that only what runs has to be waited for."""
        if not self.alive:
            return 0
        gone = 0
        for record in self.ledger.unfinished.values():
            if record.state is ADMITTED or (parked and record.state is PARKED):
                if record.state is PARKED:
                    self.suspicion.let_go(record)
                self.ledger.lose(record)
                gone += 1
        self.lost += gone
        return gone

    def close(self) -> None:
        """It is no longer ours: what has not begun is lost, later answers are dropped and counted."""
        self.let_go()
        self.is_open = self.suspended = False
        self._closed = True

    def commit(self, *, leaving: bool = False, batch: Sequence[Record] = ()) -> Commit | None:
        """What to commit now; None when that is what was last acknowledged.

        With ``leaving`` nothing begins after it. ``batch`` is what this very commit will finish, being one
        transaction with its results.
        """
        return self.checkpoint.sample(leaving=leaving, batch=batch) if self.is_open else None

    def committed(self, commit: Commit) -> bool:
        """The broker has acknowledged exactly `commit`; False when that no longer counts here."""
        return "checkpoint" in self.__dict__ and self.checkpoint.acknowledge(commit)

    @property
    def alive(self) -> bool:
        """Whether what it answers counts, now or when it is resumed."""
        return self.is_open or self.suspended

    @property
    def records(self) -> list[Record]:
        """Those that are unfinished, in order; none before it is opened."""
        return list(self.ledger.unfinished.values()) if "ledger" in self.__dict__ else []

    @property
    def expects_suspects(self) -> bool:
        """Whether some of them were not even delivered yet, or let go and are to come again."""
        suspicion = self.suspicion
        return suspicion.crashed and self.is_open and self.ledger.begins_again_at < suspicion.below

    @property
    def frontier(self) -> int:
        return self.ledger.frontier

    @property
    def position(self) -> int:
        return self.ledger.position

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
        if self.alive:
            record.state = target
            return True
        record.state = LOST
        self.late += 1
        return False
