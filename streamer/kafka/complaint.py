"""What is said of an output that can't be written: once, and once again when it can."""

from __future__ import annotations

import random
from collections.abc import Callable

RETRY_FIRST, RETRY_LAST = 0.2, 5.0
SLOW = 10.0
"""Seconds without an acknowledgement after which it is said that there is none."""


class Complaint:
    """Remembers whether the output is stuck, and how long to wait before the next try."""

    def __init__(
        self, warn: Callable[[str], None], waiting: Callable[[], int], what: str = "results"
    ) -> None:
        self.warn = warn
        self.waiting = waiting
        self.what = what
        self.stuck = False
        self.why = ""
        """Why it is, or last was, stuck."""
        self.wait = RETRY_FIRST

    def raise_(self, where: str, why: str) -> None:
        """Say it once, until it works again."""
        if not self.stuck:
            self.stuck = True
            self.why = f"{where}: {why}"
            self.warn(
                f"Can't write to {where}: {why}. {self.waiting()} {self.what} wait, nothing is lost; trying again."
            )

    def withdraw(self, where: str) -> None:
        """It works."""
        self.wait = RETRY_FIRST
        if self.stuck:
            self.stuck = False
            self.warn(f"Writing to {where} works again.")

    def pause(self) -> float:
        """Seconds until the next try, longer each time."""
        now, self.wait = self.wait, min(RETRY_LAST, 2 * self.wait)
        return now * random.uniform(0.8, 1.2)
