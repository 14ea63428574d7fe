"""Spans of time, and how they lie over each other."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

Span = tuple[float, float]
"""From when to when, in seconds."""
HANDOVER = 0.001
"""Seconds by which one may begin before the other's end and still come after it: what an event loop takes to hand
over, and clocks to be rounded."""


def peak(spans: Iterable[Span]) -> int:
    """The most that lie over one instant."""
    most = 0
    ends: list[float] = []
    for began, ended in sorted(spans):
        while ends and ends[0] <= began + HANDOVER:
            heappop(ends)
        heappush(ends, ended)
        most = max(most, len(ends))
    return most


def together(spans: Iterable[Span]) -> float:
    """All their lengths."""
    return sum(ended - began for began, ended in spans)


def covered(spans: Iterable[Span]) -> float:
    """The length of what at least one covers."""
    return together(merged(spans))


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that don't touch, in order."""
    found: list[Span] = []
    for began, ended in sorted(spans):
        if found and began <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], ended)
        else:
            found.append((began, ended))
    return found


def without(span: Span, others: Iterable[Span]) -> list[Span]:
    """What is left of a span where no other covers it; of one that is covered whole, nothing."""
    began, ended = span
    left: list[Span] = []
    for start, end in merged(others):
        if start > began:
            left.append((began, min(start, ended)))
        began = max(began, end)
        if began >= ended:
            return left
    return [*left, (began, ended)]


def within(spans: Iterable[Span], began: float, ended: float) -> list[Span]:
    """The parts of them that lie between two instants."""
    return [(max(start, began), min(end, ended)) for start, end in spans if start <= ended and end >= began]
