"""A part of what is to be done, and the parts of that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from math import inf, isfinite
from types import TracebackType
from typing import Any, Self

from streamer.progress.rate import Rate
from streamer.progress.snapshot import Snapshot, State
from streamer.progress.steps import follow
from streamer.step import Step

Key = int | str | tuple[str, int]


class Node:
    """Something to do: ``total`` of anything, or ``children``; ``total`` None while nobody knows how much.

    A leaf is ``done`` of ``total`` far; a node with children as far as these are, by their ``weight``; with a
    ``total`` too, that is how many children there will be. What has ended is far enough, whatever came of it.

    Invariants: a fraction is from 0 to 1, and goes back only when children are added (one that is run anew
    is a new one) or a total is raised; a node that has ended stays as it is, and nothing below it goes on.
    """

    work: object = None
    """What runs it."""
    step: Step | None = None
    """The task whose steps it follows: a Node is what ``Engine.run`` takes as ``watched``."""
    endless = False
    """Nobody knows how many children there will be, and those that have ended are not kept."""

    def __init__(
        self,
        name: str,
        *,
        weight: float = 1.0,
        total: float | None = None,
        weights: Mapping[str, float] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise ValueError(f"name is a text, not {name!r}.")
        self.name = name
        self.weight = positive("weight", weight)
        self.total = total
        self.weights = judged(weights)
        self.clock = running_clock() if clock is None else clock
        self.parent: Node | None = None
        self.nodes: dict[Key, Node] = {}
        self.state = State.WAITING
        self.done = 0.0
        self.message = ""
        self.started: float | None = None
        self.finished: float | None = None
        self.rate: Rate | None = None
        self.since: float | None = None
        self.last: Snapshot | None = None

    # --- for whoever does it

    def child(
        self,
        name: str,
        *,
        weight: float = 1.0,
        total: float | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> Node:
        """One more part. ``weights`` are those of the steps of a task that it follows, by their paths (1)."""
        return self.grow(len(self.nodes), name, weight=weight, total=total, weights=weights)

    @property
    def total(self) -> float | None:
        return self._total

    @total.setter
    def total(self, total: float | None) -> None:
        if total is not None and not amounts(total):
            raise ValueError(f"total is a number of at least 0, or None, not {total!r}.")
        self._total = total

    def start(self) -> None:
        """It begins, and so does what it is a part of."""
        self.begin(self.clock())

    def advance(self, amount: float = 1) -> None:
        """So much more is done; before it has begun, it begins."""
        if not amounts(amount):
            raise ValueError(f"amount is a number of at least 0, not {amount!r}.")
        self.start()
        if not self.over:
            self.done += amount

    def finish(self, state: State | str = State.SUCCEEDED) -> None:
        """It has ended, for good; of its parts, those that run are cancelled and those that wait are skipped."""
        state = State(state)
        if not state.over:
            raise ValueError(f"state is one that is for good, not {state.value!r}.")
        self.end(state, self.clock())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It has ended as the block did; what a task that it follows says of itself comes first."""
        self.look()
        if error is None:
            self.finish()
        elif isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
            self.finish(State.CANCELLED)
        else:
            self.finish(State.TIMED_OUT if isinstance(error, TimeoutError) else State.FAILED)

    # --- how far it is

    @property
    def children(self) -> tuple[Node, ...]:
        """Its parts."""
        return tuple(self.nodes.values())

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.finished is not None

    @property
    def fraction(self) -> float:
        """How much of it is over, from 0 to 1."""
        if self.over:
            return 1.0
        if self.endless:
            return 0.0
        if self.nodes:
            known = sum(node.weight for node in self.nodes.values())
            to_come = max(0.0, (self.total or 0) - len(self.nodes))
            over = sum(node.weight * node.fraction for node in self.nodes.values())
            return min(1.0, over / (known + to_come))
        if self.total is None:
            return 0.0
        if self.total:
            return min(1.0, self.done / self.total)
        return 0.0 if self.state is State.WAITING else 1.0

    def snapshot(self) -> Snapshot:
        """How far it is now, with all below it."""
        self.look()
        return self.taken(self.clock())

    def taken(self, now: float) -> Snapshot:
        if self.last is not None:
            return self.last
        children = tuple(node.taken(now) for node in self.nodes.values())
        fraction = self.fraction
        eta: float | None = 0.0 if self.over else None
        if self.started is not None and not self.over:
            if self.rate is None:
                self.rate = Rate(self.started)
            self.rate.note(now, fraction)
            eta = self.rate.eta
        until = now if self.finished is None else self.finished
        snapshot = Snapshot(
            name=self.name,
            state=self.state,
            weight=self.weight,
            done=self.done,
            total=self.total,
            fraction=fraction,
            elapsed=0.0 if self.started is None else max(0.0, until - self.started),
            eta=eta,
            message=self.message,
            children=children,
        )
        if self.over:
            self.last = snapshot
        return snapshot

    # --- what it follows

    def look(self) -> None:
        """Look at the tasks that are followed here and below."""
        if self.step is not None:
            step = self.step
            follow(self, step, step.scope.now() - self.clock(), self.weights, root=True)
            if self.over:
                self.step = None
        else:
            for node in self.nodes.values():
                node.look()

    # --- the tree

    def grow(self, key: Key, name: str, **settings: Any) -> Node:
        """One more part, or another in place of that of the same key."""
        node = self.nodes[key] = Node(name, clock=self.clock, **settings)
        node.parent = self
        for above in self.above():
            above.last = None
        if self.over:
            node.end(State.SKIPPED, self.clock())
        return node

    def above(self) -> Iterator[Node]:
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def begin(self, now: float) -> None:
        for node in self.above():
            if node.state is not State.WAITING:
                return
            node.state, node.started = State.RUNNING, now

    def end(self, state: State, now: float) -> None:
        if self.over:
            return
        self.state, self.finished = state, now
        for node in self.nodes.values():
            node.end(State.SKIPPED if node.state is State.WAITING else State.CANCELLED, now)


def judged(weights: Mapping[str, float] | None) -> dict[str, float]:
    """Weights of steps, or a ValueError that names the one that can't be."""
    if weights is not None and not isinstance(weights, Mapping):
        raise ValueError(f"weights are a mapping of steps' paths, such as {{'/0': 2}}, not {weights!r}.")
    for path in weights or {}:
        if not isinstance(path, str) or not path.startswith("/"):
            raise ValueError(f"weights are by the paths of steps, such as '/0' or '/name', not {path!r}.")
    return {path: positive(f"weight of {path}", each) for path, each in (weights or {}).items()}


def positive(what: str, number: float) -> float:
    """A weight, or a ValueError that names it."""
    if (
        isinstance(number, bool)
        or not isinstance(number, int | float)
        or not (isfinite(number) and number > 0)
    ):
        raise ValueError(f"{what} is a number above 0, not {number!r}.")
    return number


def amounts(number: Any) -> bool:
    """Whether it is a number of at least 0."""
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < inf


def running_clock() -> Callable[[], float]:
    """The running loop's, else the process's."""
    try:
        return asyncio.get_running_loop().time
    except RuntimeError:
        return time.monotonic
