"""Which items share the next call: pure; the time is passed in."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Gathering(Generic[T]):
    """Items that wait for a call to share, and how many such calls run.

    Invariants: a batch has 1 to ``max_size`` items, those that have waited longest, in the order they came; one
    begins only while fewer than ``concurrency`` run, and either it is full or its first item has waited for
    ``max_wait`` seconds; an item is in one batch, or has left.
    """

    def __init__(self, max_size: int, max_wait: float, concurrency: int | None) -> None:
        self.max_size = max_size
        self.max_wait = max_wait
        self.concurrency = concurrency
        self.waiting: dict[T, float] = {}
        """When each came."""
        self.running = 0

    def join(self, item: T, now: float) -> bool:
        """Take an item; whether there are enough of them now."""
        self.waiting[item] = now
        return len(self.waiting) >= self.max_size

    def leave(self, item: T) -> None:
        """It does not wait any more."""
        self.waiting.pop(item, None)

    @property
    def room(self) -> bool:
        """Whether another call may begin."""
        return self.concurrency is None or self.running < self.concurrency

    @property
    def due(self) -> float | None:
        """When the next batch begins though it is not full; None where nothing waits, or for a call to end."""
        return next(iter(self.waiting.values())) + self.max_wait if self.waiting and self.room else None

    def next(self, now: float) -> list[T]:
        """The items of the call that is to begin now; none if none is."""
        due = self.due
        if due is None or (now < due and len(self.waiting) < self.max_size):
            return []
        batch = [item for item, _ in zip(self.waiting, range(self.max_size), strict=False)]
        for item in batch:
            del self.waiting[item]
        self.running += 1
        return batch

    def ended(self) -> None:
        """One of the calls has ended."""
        self.running -= 1
