"""What a batch comes to: a line, and an exit code."""

from __future__ import annotations

from typing import NamedTuple

from streamer.cli.answered import DEAD_LETTER, OUTCOMES
from streamer.results import Status

SOME_FAILED = 1
INTERRUPTED = 130


class Tally(NamedTuple):
    """How many there are of each outcome, and how it ended."""

    counts: tuple[int, ...]
    before: int = 0
    """Those of an earlier run."""
    dead_letters: str | None = None
    """Their file."""
    stopped: bool = False
    resumable: bool = False
    seconds: float = 0.0

    @property
    def code(self) -> int:
        """The exit code: whether all succeeded, those of earlier runs included."""
        if self.stopped:
            return INTERRUPTED
        return SOME_FAILED if sum(self.counts) > self.counts[OUTCOMES.index(Status.SUCCEEDED)] else 0

    @property
    def words(self) -> str:
        """How many there are of each outcome that there is."""
        return ", ".join(
            f"{count:,} {outcome}{'s' if outcome == OUTCOMES[DEAD_LETTER] and count != 1 else ''}"
            for outcome, count in zip(OUTCOMES, self.counts, strict=True)
            if count or outcome == Status.SUCCEEDED
        )

    @property
    def summary(self) -> str:
        """The last line that a batch says."""
        total = sum(self.counts)
        text = f"{total:,} task{'s'[: total != 1]}: {self.words}"
        if self.before:
            text += f"; {self.before:,} of them by an earlier run"
        if self.counts[DEAD_LETTER] and self.dead_letters is not None:
            text += f"; dead letters are in {self.dead_letters}"
        if self.stopped:
            text += "; not all: run it again to go on" if self.resumable else "; not all"
        return f"{text}; {self.seconds:.1f} s"
