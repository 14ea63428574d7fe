"""How long it will take, from how it went so far."""

from __future__ import annotations

from math import exp, isfinite

MEMORY = 60.0
"""Seconds after which what was seen counts for a third; of what lasts long, a third of that."""


class Rate:
    """A smoothed rate of a fraction, per second. It reads no clock.

    Every second counts less, by e-folds, the longer ago it is, and so does what was done in it. At an even pace what
    is left is the time elapsed over the fraction, less the time elapsed.
    """

    __slots__ = ("fraction", "now", "progress", "seconds", "start")

    def __init__(self, start: float) -> None:
        self.start = self.now = start
        self.fraction = self.progress = self.seconds = 0.0

    def note(self, now: float, fraction: float) -> None:
        """It is so far now."""
        passed = max(0.0, now - self.now)
        fading = exp(-passed / max(MEMORY, (now - self.start) / 3))
        self.progress = self.progress * fading + fraction - self.fraction
        self.seconds = self.seconds * fading + passed
        self.now, self.fraction = max(now, self.now), fraction

    @property
    def eta(self) -> float | None:
        """The seconds that are left; None while there is no telling."""
        if self.fraction >= 1:
            return 0.0
        if self.progress <= 0 or self.seconds <= 0:
            return None
        left = (1 - self.fraction) * self.seconds / self.progress
        return left if isfinite(left) else None
