"""How many calls may be extra ones: retries, or second starts."""

from __future__ import annotations

from collections import deque
from math import isfinite
from typing import Any

from streamer.errors import SettingsError

SLICES = 10
LONGEST = 86_400


class ExtraCalls:
    """Of all calls of the last ``window`` seconds, at most ``share`` are extra, or ``minimum`` where that is more.

    So an outage does not multiply the load, and a lone call is tried again all the same. Shared by all who name it.
    ``called`` counts every call, the extra ones included; ``allow`` is asked before an extra one, and counts it. The
    window moves in tenths.

    Invariants: whenever one is allowed, extra <= max(minimum, share of all calls) with it; what is older than the window
    counts for nothing; its memory does not grow.
    """

    __slots__ = ("calls", "extra", "minimum", "share", "slices", "window")

    def __init__(self, share: float = 0.1, minimum: int = 10, window: float = 60.0) -> None:
        if not number(share) or not 0 <= share <= 1:
            raise SettingsError(f"share is from 0 to 1, not {share!r}.")
        if isinstance(minimum, bool) or not isinstance(minimum, int) or minimum < 0:
            raise SettingsError(f"minimum is a whole number of at least 0, not {minimum!r}.")
        if not number(window) or not 0 < window <= LONGEST:
            raise SettingsError(f"window is in seconds, above 0 and at most {LONGEST}, not {window!r}.")
        self.share = share
        self.minimum = minimum
        self.window = window
        self.calls = self.extra = 0
        self.slices: deque[list[int]] = deque()
        """Of each tenth of the window its number, the calls and the extra ones."""

    def called(self, now: float) -> None:
        """A call is made."""
        self.calls += 1
        self.current(now)[1] += 1

    def allow(self, now: float) -> bool:
        """Whether one more call may be an extra one; then it counts as one."""
        current = self.current(now)
        if self.extra + 1 > max(self.minimum, self.share * (self.calls + 1)):
            return False
        self.extra += 1
        current[2] += 1
        return True

    def current(self, now: float) -> list[int]:
        """The slice that is now, once what is too old is forgotten."""
        number = int(now * SLICES / self.window)
        slices = self.slices
        while slices and slices[0][0] <= number - SLICES:
            _, calls, extra = slices.popleft()
            self.calls -= calls
            self.extra -= extra
        if not slices or slices[-1][0] < number:
            slices.append([number, 0, 0])
        return slices[-1]


def number(value: Any) -> bool:
    """Whether it is a finite number."""
    return not isinstance(value, bool) and isinstance(value, int | float) and isfinite(value)
