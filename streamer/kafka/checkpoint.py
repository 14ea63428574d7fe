"""What the broker has acknowledged of an opening, and what is to be committed beyond that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from streamer.kafka.commit import Commit
from streamer.kafka.ledger import Ledger
from streamer.kafka.metadata import Marks, Trial
from streamer.kafka.reach import Reach
from streamer.kafka.record import Record
from streamer.kafka.suspicion import Suspicion


class Journal(Protocol):
    """What the journal of a partition is to its state."""

    @property
    def low_water(self) -> int:
        """From where on it is still needed."""
        ...

    def forget(self, offset: int) -> None:
        """Finished: nothing of it is needed any more."""
        ...


class Checkpoint:
    """Samples commits of one opening, and remembers the last one that was acknowledged.

    Invariants:

    * There is something to commit exactly when the state differs from the one last acknowledged, or the reach is
      about to be used up. The first commit pins the opening by its ``nonce``, which no other has.
    * The last to be acknowledged counts, not the highest: of two acknowledgements out of order nobody knows which
      commit the broker holds, and to commit once more is harmless.
    * What was sampled before the partition came back does not count after that: what was committed since said less.
    """

    __slots__ = (
        "acknowledged",
        "journal",
        "ledger",
        "low_water",
        "nonce",
        "number",
        "opened_at",
        "reach",
        "resumed",
        "suspicion",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        number: int,
        nonce: bytes,
        ledger: Ledger,
        reach: Reach,
        suspicion: Suspicion,
        journal: Journal | None,
    ) -> None:
        self.topic = topic
        self.number = number
        self.nonce = nonce
        self.ledger = ledger
        self.reach = reach
        self.suspicion = suspicion
        self.journal = journal
        self.opened_at = ledger.frontier
        self.resumed = 0
        self.acknowledged: Commit | None = None
        """None before the first, and when it has just come back."""
        self.low_water: int | None = None
        """The journal's, as it is committed."""

    def sample(self, *, leaving: bool = False, batch: Sequence[Record] = ()) -> Commit | None:
        """What to commit now; None when that is what was last acknowledged."""
        ledger, suspicion = self.ledger, self.suspicion
        # Offsets only enter in order and only leave finished: these two numbers stand for the whole state.
        frontier, finished = ledger.frontier, ledger.finished + len(batch)
        if batch:
            frontier, left = ledger.without({record.offset for record in batch})
        suspicion.review(frontier)
        state = (frontier, finished, leaving, suspicion.trial, suspicion.level)
        if state == self.state and (leaving or self.reach.ample):
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
                self.reach.after(leaving, frontier, suspicion.below, ledger.unfinished),
                leaving,
                suspicion.trial,
                suspicion.level,
                self.journal.low_water if self.journal is not None else None,
                frontier > self.opened_at,
                self.reach.began,
            ),
            self.resumed,
        )

    def acknowledge(self, commit: Commit) -> bool:
        """The broker has exactly `commit`; False when it is not of this opening, or from before it came back."""
        if commit.nonce != self.nonce or commit.resumed != self.resumed:
            return False
        self.acknowledged = commit
        self.low_water = commit.marks.low_water
        self.reach.acknowledge(commit.marks.reach)
        return True

    def resume(self) -> None:
        """It came back: what was acknowledged so far is not known to be the last."""
        self.resumed += 1
        self.acknowledged = None
        self.reach.fall_back(self.ledger.frontier)

    @property
    def state(self) -> tuple[int, int, bool, Trial | None, int] | None:
        """What the last commit said, but for what goes with any."""
        commit = self.acknowledged
        if commit is None:
            return None
        marks = commit.marks
        return commit.frontier, commit.finished, marks.left, marks.trial, marks.level

    def tells(self, trial: Trial | None) -> bool:
        """Whether it is known that the broker has this trial; one from before it came back may still be there."""
        return self.acknowledged is not None and self.acknowledged.marks.trial == trial

    @property
    def frontier(self) -> int | None:
        """The frontier that the broker knows of; None where that is not known."""
        return self.acknowledged.frontier if self.acknowledged is not None else None
