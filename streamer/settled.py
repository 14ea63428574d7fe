"""Children that have ended well and left nothing but a value: a few bytes each instead of a step."""

from __future__ import annotations

from array import array
from math import isnan, nan
from typing import Any

from streamer.step import Step


class Settled:
    """When they began and ended, by index, beside the ``values`` that their parent keeps anyhow.

    Invariant: whoever is here has called nobody, failed at nothing and says nothing of itself, so that a step made of
    this is as good as its own was.
    """

    __slots__ = ("finished", "started", "values")
    started: array[float]
    finished: array[float]

    def __init__(self, total: int, values: list[Any], before: Settled | None) -> None:
        if before is not None and len(before.started) == total:  # a run before, until these run again
            self.started, self.finished = before.started, before.finished
        else:
            self.started = array("d", (nan,)) * total
            self.finished = array("d", (nan,)) * total
        self.values = values

    def take(self, parent: Step, index: int, child: Step) -> None:
        """Keep all there is to know of a child that has its value, if that is so little."""
        if (
            child.attempts
            or child.calls
            or child.combines
            or child.subscribed
            or child.task is not None
            or child.kind != "function"
        ):
            return
        self.started[index] = child.started or 0.0
        self.finished[index] = child.finished or 0.0
        assert parent.children is not None
        del parent.children[index]
        child.leaving = parent, index


def family(step: Step) -> dict[int | str, Step]:
    """All children of a step, in the input's order."""
    children, settled = step.children or {}, step.settled
    if settled is None:
        return children
    found: dict[int | str, Step] = {}
    for index, started in enumerate(settled.started):
        if index in children:
            found[index] = children[index]
        elif not isnan(started):
            child = found[index] = Step(step.scope, f"{step.path}/{index}")
            child.kind, child.started, child.finished = "function", started, settled.finished[index]
            child.value = settled.values[index] if index < len(settled.values) else None
    return {**found, **children}
