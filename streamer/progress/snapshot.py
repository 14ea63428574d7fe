"""How far something is at one moment, as a value."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    """What becomes of a node: it waits, it runs, and it ends in one of the five statuses, for good."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def over(self) -> bool:
        """Whether it is one of the five."""
        return self not in (State.WAITING, State.RUNNING)


class Snapshot(Struct, frozen=True, kw_only=True):
    """A node and all below it. ``elapsed`` and ``eta`` are seconds.

    ``fraction`` is from 0 to 1: how much is over, whatever came of it. ``total`` and ``eta`` are None while nobody
    knows; ``total`` counts what ``done`` counts, or the children where there are some.
    """

    name: str
    state: State
    weight: float
    done: float
    total: float | None
    fraction: float
    elapsed: float
    eta: float | None
    message: str
    children: tuple[Snapshot, ...]

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state.over

    @property
    def counts(self) -> Counter[State]:
        """How many children are in each state."""
        return Counter(child.state for child in self.children)
