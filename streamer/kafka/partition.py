"""The state machine of one assigned partition."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from streamer.kafka.commit import Commit
from streamer.kafka.ledger import Interval, Ledger
from streamer.kafka.metadata import Marks, Trial
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

UNDER_WAY = frozenset({RUNNING, PARKED, ANSWERED, PUBLISHING})


class Journal(Protocol):
    """What the journal of a partition is to its state."""

    @property
    def low_water(self) -> int:
        """From where on it is still needed."""
        ...

    def forget(self, offset: int) -> None:
        """Finished: nothing of it is needed any more."""
        ...


class Partition:
    """One assignment of one partition, from the callback that brings it to the one that takes it for good.

    Invariants:

    * It is closed until it is opened, is opened once, and stays closed once it was closed. While it is closed
      nothing is admitted, finished or committed.
    * While it is suspended, between two assignments that may both be its own, nothing is admitted, published or
      committed; what runs goes on, and what it answers is kept until it is resumed or closed.
    * Records take the steps of `TRANSITIONS`, and no others.
    * Nothing begins at or above `reach`, which the broker has acknowledged: whatever a crash may have interrupted
      is unfinished and below the committed one.
    * An offset is finished by `finish` alone, when its result or dead letter is acknowledged; so no frontier
      that `commit` names is above an offset whose result is not durable.
    * What is let go or lost stays unfinished: the next owner reads it again, or this one when it is resumed.
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
        self.suspended = False
        self.resumed = 0
        self.running = 0
        self.late = 0
        self.lost = 0
        self.headroom = 1
        self.reach = 0
        self.begun = 0
        """One above the highest offset that was begun, or asked for leave to."""
        self.opened_at = 0
        self.began = False
        """Something begins, or has begun, since it was opened."""
        self.restarted_below = 0
        self.crashed = False
        """Its owner before crashed: what is unfinished below ``restarted_below`` is suspect."""
        self.suspects = 0
        """How many those were."""
        self.trial: Trial | None = None
        self.level = 0
        self.journal: Journal | None = None
        self.low_water: int | None = None
        """The journal's, as it is committed."""
        self._closed = False
        self._clean: tuple[object, ...] | None = None
        self._pace = self._paced_from = 0

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
        self.nonce = nonce
        self.headroom = headroom
        self.reach = self.begun = self._paced_from = self.ledger.position
        self.opened_at = self.ledger.frontier
        self.restarted_below = restarted_below
        self.journal = journal
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
        self.resumed += 1
        self._clean = None
        self.reach = self.ledger.frontier  # the leaving commit may count without its acknowledgement
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
            record.restarted = record.offset < self.restarted_below
            records.append(record)
        self.ledger.deliver(records, position)
        return records

    def missing(self, beginning: int) -> int:
        """How many offsets are gone where the log begins at `beginning`: neither finished nor under way."""
        return self.ledger.missing(beginning)

    def skip(self, beginning: int) -> None:
        """What is gone is not waited for; what is under way is finished."""
        self.ledger.skip(beginning)

    def put_on_trial(self, trial: Trial | None) -> None:
        """What is tried next; to be committed before it begins."""
        self.trial = trial
        if trial is not None:
            self.began = True

    def note_pace(self) -> None:
        """To be called at even intervals, not at commits: those that are hurried would make any pace seem slow."""
        self._pace, self._paced_from = self.begun - self._paced_from, self.begun

    def about_to_begin(self, record: Record) -> None:
        """It is to be within the next commit's reach."""
        self.begun = max(self.begun, record.offset + 1)
        self.began = True

    def begin(self, record: Record) -> bool:
        """Run it; False when it was lost meanwhile."""
        offset = record.offset
        if offset >= self.reach and record.state is ADMITTED:
            raise IllegalTransition(record, RUNNING)
        began = self._run(record, ADMITTED)
        if began:
            self.began = True
            if offset >= self.begun:
                self.begun = offset + 1
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
                if record.state is PARKED:  # begun, and whoever reads it again is to know
                    self.restarted_below = max(self.restarted_below, record.offset + 1)
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
        if not self.is_open:
            return None
        ledger = self.ledger
        # Offsets only enter in order and only leave finished: these two numbers stand for the whole state.
        frontier, finished = ledger.frontier, ledger.finished + len(batch)
        if batch:
            frontier, left = ledger.without({record.offset for record in batch})
        if self.level and frontier >= self.restarted_below:
            self.level = 0  # the last suspect has ended
        state = (frontier, finished, leaving, self.trial, self.level)
        if state == self._clean and (leaving or self.reach - self.begun >= self.headroom // 2):
            return None
        return Commit(
            self.topic,
            self.number,
            self.nonce,
            frontier,
            ledger.end,
            tuple(left if batch else ledger.holes),
            finished,
            Marks(
                self._reach_after(leaving, frontier),
                leaving,
                self.trial,
                self.level,
                self.journal.low_water if self.journal is not None else None,
                frontier > self.opened_at,
                self.began,
            ),
            self.resumed,
        )

    def committed(self, commit: Commit) -> bool:
        """The broker has acknowledged exactly `commit`; False when it is not of this opening, or from before it came
        back: what was committed since then said less.

        The last to be acknowledged counts, not the highest: of two acknowledgements out of order nobody knows
        which commit the broker holds, and to commit once more is harmless.
        """
        if commit.nonce != self.nonce or commit.resumed != self.resumed:
            return False
        marks = commit.marks
        self._clean = (commit.frontier, commit.finished, marks.left, marks.trial, marks.level)
        self.reach = marks.reach
        self.low_water = marks.low_water
        return True

    def _reach_after(self, leaving: bool, frontier: int) -> int:
        if leaving:
            begun = (r.offset for r in reversed(self.ledger.unfinished.values()) if r.state in UNDER_WAY)
            return max(next(begun, frontier - 1) + 1, self.restarted_below)
        # Twice the pace; never less than what was promised: it may be begun by now.
        ahead = max(self.headroom, 2 * max(self._pace, self.begun - self._paced_from))
        return max(self.begun + ahead, self.reach, self.restarted_below)

    @property
    def pinned(self) -> bool:
        """Whether a commit of this opening was acknowledged."""
        return self._clean is not None

    @property
    def alive(self) -> bool:
        """Whether what it answers counts, now or when it is resumed."""
        return self.is_open or self.suspended

    @property
    def records(self) -> list[Record]:
        """Those that are unfinished, in order; none before it is opened."""
        return list(self.ledger.unfinished.values()) if "ledger" in self.__dict__ else []

    @property
    def written_trial(self) -> Trial | None:
        """The trial that the broker knows of."""
        trial = self._clean[3] if self._clean is not None else None
        assert trial is None or isinstance(trial, Trial)
        return trial

    @property
    def committed_frontier(self) -> int | None:
        """The frontier that the broker has acknowledged; None before that, and when it has just come back."""
        frontier = self._clean[0] if self._clean is not None else None
        assert frontier is None or isinstance(frontier, int)
        return frontier

    def unfinished_below(self, offset: int) -> int:
        """How many offsets below it are not known to be finished."""
        ledger = self.ledger
        if offset <= ledger.frontier:
            return 0
        ahead = sum(hole < offset for hole in ledger.holes)
        return 1 + ahead + max(0, offset - max(ledger.end, ledger.frontier + 1))

    @property
    def expects_suspects(self) -> bool:
        """Whether some of them were not even delivered yet, or let go and are to come again."""
        return self.crashed and self.is_open and self.ledger.begins_again_at < self.restarted_below

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
        if self.alive:
            record.state = target
            return True
        record.state = LOST
        self.late += 1
        return False
