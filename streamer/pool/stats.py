"""What became of what was submitted, in numbers."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from streamer.results import Result, Status


class PoolStats(Struct, frozen=True, kw_only=True):
    """The counts at one moment. ``submitted`` is the sum of the five statuses, ``queued`` and ``active``.

    ``total_duration`` is the seconds that all that have ended took, whatever their status; their waits excluded.
    """

    submitted: int
    succeeded: int
    failed: int
    timed_out: int
    cancelled: int
    skipped: int
    queued: int
    active: int
    total_duration: float

    @property
    def finished(self) -> int:
        """How many have ended."""
        return self.submitted - self.queued - self.active


class Counts:
    """Counts up."""

    def __init__(self) -> None:
        self.submitted = 0
        self.statuses: Counter[Status] = Counter()
        self.duration = 0.0

    def ended(self, result: Result) -> None:
        """One more has its result."""
        self.statuses[result.status] += 1
        self.duration += result.duration

    def stats(self, queued: int, active: int) -> PoolStats:
        """The counts as they are."""
        return PoolStats(
            submitted=self.submitted,
            queued=queued,
            active=active,
            total_duration=self.duration,
            **{status.value: self.statuses[status] for status in Status},
        )
