"""Who is next."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")
AGEING = 10.0
"""Seconds of waiting that count as much as one level of priority."""


class Waiting(Generic[T]):
    """A queue by priority that ages: whoever has waited ``AGEING`` seconds longer is one level higher.

    All age at the same rate, so the order of two never changes, and nobody waits for ever behind later ones.
    Invariants: of equal priority the first come is the first served; what was discarded never comes out, and takes
    no more room than what is left.
    """

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, T]] = []
        self.left: set[T] = set()
        self.numbers = count()

    def __len__(self) -> int:
        return len(self.left)

    def push(self, item: T, priority: int, now: float) -> None:
        """Let it wait; ``now`` is when it came, in seconds."""
        self.left.add(item)
        heappush(self.heap, (now / AGEING - priority, next(self.numbers), item))

    def pop(self) -> T:
        """The next; there has to be one."""
        while (item := heappop(self.heap)[2]) not in self.left:
            pass
        self.left.remove(item)
        return item

    def discard(self, item: T) -> None:
        """It waits no more."""
        self.left.discard(item)
        if len(self.heap) > 2 * len(self.left) + 8:
            self.heap = [entry for entry in self.heap if entry[2] in self.left]
            heapify(self.heap)
