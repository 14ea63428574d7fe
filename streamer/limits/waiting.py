"""Who waits, in the order in which they go."""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import Any, Generic, TypeVar

T = TypeVar("T")

AGE = 10.0
"""Seconds of waiting that weigh as much as one step of priority."""
STEPS = 1_000
"""A priority beyond this, or below minus this, counts as this."""
Entry = list[Any]
"""A place in the queue: when it goes, its number, who waits there."""
GONE: Any = object()


class Waiting(Generic[T]):
    """A queue by priority that ages: who has waited ``AGE`` seconds longer goes before a step of priority more.

    All age at one rate, so an entry's order is settled when it comes: by the time of arrival less ``AGE`` for every
    step of priority. Invariants: the least of these goes first, of equals the first that came; nobody is overtaken
    by who comes later than ``AGE`` times the difference of their priorities, so nobody starves; ``alive`` counts
    those who wait, and at most as many who have left are remembered, and a few.

    ``now`` is on any clock that never goes back. While everybody has the same priority this is a plain queue.
    """

    __slots__ = ("alive", "count", "fifo", "heap")

    def __init__(self) -> None:
        self.alive = 0
        self.count = 0
        self.fifo: deque[Entry] = deque()
        """A run of entries that came in the order in which they go; ``heap`` has the others."""
        self.heap: list[Entry] = []

    def push(self, item: T, priority: int | None, now: float) -> Entry:
        """Wait; the entry is for ``discard``."""
        at = now - max(-STEPS, min(STEPS, priority)) * AGE if priority else now
        self.count += 1
        entry: Entry = [at, self.count, item]
        if not self.fifo or at >= self.fifo[-1][0]:
            self.fifo.append(entry)
        else:
            heappush(self.heap, entry)
        self.alive += 1
        return entry

    def first(self) -> T:
        """Who goes next; an IndexError where nobody waits."""
        return self.next()[0][2]  # type: ignore[no-any-return]

    def popleft(self) -> T:
        """Whoever goes next goes."""
        if self.heap or not self.fifo or self.fifo[0][2] is GONE:
            entry, queue = self.next()
            if queue is self.heap:
                heappop(self.heap)
            else:
                self.fifo.popleft()
        else:
            entry = self.fifo.popleft()
        self.alive -= 1
        item: T = entry[2]
        entry[2] = GONE  # so that nobody discards it any more
        return item

    def next(self) -> tuple[Entry, deque[Entry] | list[Entry]]:
        """The entry that goes next, and where it stands."""
        fifo, heap = self.fifo, self.heap
        while heap and heap[0][2] is GONE:
            heappop(heap)
        while fifo and fifo[0][2] is GONE:
            fifo.popleft()
        if heap and (not fifo or heap[0] < fifo[0]):
            return heap[0], heap
        return fifo[0], fifo

    def discard(self, entry: Entry) -> None:
        """Whoever waits there waits no more; no matter if he has gone already."""
        if entry[2] is GONE:
            return
        entry[2] = GONE
        self.alive -= 1
        if len(self.fifo) + len(self.heap) > 2 * self.alive + 16:
            self.fifo = deque(entry for entry in self.fifo if entry[2] is not GONE)
            self.heap = [entry for entry in self.heap if entry[2] is not GONE]
            heapify(self.heap)

    def clear(self) -> None:
        """Nobody waits any more."""
        for entry in (*self.fifo, *self.heap):
            entry[2] = GONE
        self.fifo.clear()
        self.heap.clear()
        self.alive = 0

    def __len__(self) -> int:
        return self.alive
