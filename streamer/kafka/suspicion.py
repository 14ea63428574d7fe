"""What is held against the records of a partition: an owner before may have begun them, and have crashed."""

from streamer.kafka.metadata import Trial
from streamer.kafka.record import Record


class Suspicion:
    """What is known of the owners before, and who is tried for a crash of theirs.

    Invariants:

    * What is unfinished below ``below`` may have been begun before; it never goes down.
    * Only where the owner before ``crashed`` is any of that suspect. ``level`` says how long trials last, and is 0
      where nobody is suspect, or not any more.
    """

    __slots__ = ("below", "crashed", "level", "suspects", "trial")

    def __init__(self) -> None:
        self.below = 0
        self.crashed = False
        self.suspects = 0
        """How many there were after the crash."""
        self.trial: Trial | None = None
        """What is tried now, or next."""
        self.level = 0

    def after_crash(self, suspects: int, level: int, trial: Trial | None) -> None:
        """The owner before crashed."""
        self.crashed = True
        self.suspects = suspects
        self.level = level
        self.trial = trial

    def concerns(self, record: Record) -> bool:
        """Whether it may have been begun before."""
        return record.offset < self.below

    def let_go(self, record: Record) -> None:
        """It was begun, and whoever reads it again is to know."""
        self.below = max(self.below, record.offset + 1)

    def come_back(self) -> None:
        """It was taken meanwhile, and others were tried: whoever was alone may have company by now."""
        if self.trial is not None:
            self.trial = self.trial._replace(alone=False)

    def review(self, frontier: int) -> None:
        """Whether the last suspect has ended."""
        if frontier >= self.below:
            self.level = 0
