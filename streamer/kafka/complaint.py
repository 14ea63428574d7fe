"""What is said of places that can't be written to: once, and once more when that is over."""

from __future__ import annotations

import random
from collections.abc import Callable

RETRY_FIRST, RETRY_LAST = 0.2, 5.0
SLOW = 10.0
"""Seconds without an acknowledgement after which it is said that there is none."""


class Complaint:
    """Remembers which places are stuck, and how long to wait before the next try.

    Invariants: it is said once that places are stuck, however many of them come, and once that none is any more; a
    place is stuck until it was written to, or is given up.
    """

    def __init__(
        self, warn: Callable[[str], None], waiting: Callable[[], int], what: str = "results"
    ) -> None:
        self.warn = warn
        self.waiting = waiting
        self.what = what
        self.places: dict[str, str] = {}
        """Those that are stuck, and what is said of them."""
        self.wait = RETRY_FIRST

    @property
    def stuck(self) -> bool:
        return bool(self.places)

    @property
    def why(self) -> str | None:
        """What is stuck for longest, and why."""
        return next(iter(self.places.values()), None)

    def raise_(self, where: str, why: str, topic: str | None = None) -> None:
        """Say it once, until all works again; of several things written at a place, ``topic`` is what refuses."""
        if not self.places:
            self.warn(
                f"Can't write to {topic or where}: {why}. {self.waiting()} {self.what} wait, nothing is lost; trying again."
            )
        self.places.setdefault(where, f"{topic or where}: {why}")

    def withdraw(self, where: str) -> None:
        """It works."""
        if self.over(where):
            self.warn(f"Writing to {where} works again.")

    def dismiss(self, where: str) -> None:
        """Its partition is gone, and with it what waited: nobody will find out whether it works."""
        if self.over(where):
            self.warn(f"Nothing is written to {where} from here any more.")

    def over(self, where: str) -> bool:
        """Whether it was the last that was stuck."""
        if self.places.pop(where, None) is None or self.places:
            return False
        self.wait = RETRY_FIRST
        return True

    def pause(self) -> float:
        """Seconds until the next try, longer each time."""
        now, self.wait = self.wait, min(RETRY_LAST, 2 * self.wait)
        return now * random.uniform(0.8, 1.2)
