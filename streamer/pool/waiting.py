"""Who is next."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

T = TypeVar("T")
AGE = 10.0
"""Seconds of waiting that weigh as much as one step of priority."""
Entry = list[Any]
"""A place in the queue: when it goes, its number, who waits there."""
GONE: Any = object()


class Waiting(Generic[T]):
    """A queue by priority that ages: who has waited ``AGE`` seconds longer goes before a step of priority more.

    All age at one rate, so the order of two never changes, and nobody waits for ever behind later ones. Invariants:
    of equals the first that came goes first; who has left takes no more room than those that wait, and a few.
    """

    def __init__(self) -> None:
        self.heap: list[Entry] = []
        self.alive = self.count = 0

    def __len__(self) -> int:
        return self.alive

    def push(self, item: T, priority: int, now: float) -> Entry:
        """Wait; the entry is for ``discard``, ``now`` is in seconds."""
        self.count += 1
        self.alive += 1
        entry: Entry = [now - priority * AGE, self.count, item]
        heappush(self.heap, entry)
        return entry

    def popleft(self) -> T:
        """Whoever goes next goes; there has to be somebody."""
        while (entry := heappop(self.heap))[2] is GONE:
            pass
        self.alive -= 1
        item: T = entry[2]
        entry[2] = GONE
        return item

    def discard(self, entry: Entry) -> None:
        """Whoever waits there waits no more; no matter if he has gone already."""
        if entry[2] is GONE:
            return
        entry[2] = GONE
        self.alive -= 1
        if len(self.heap) > 2 * self.alive + 16:
            self.heap = [entry for entry in self.heap if entry[2] is not GONE]
            heapify(self.heap)
