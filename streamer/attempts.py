"""Every attempt below a step, and what they cost together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streamer.results import Attempt
from streamer.step import Step


def made(step: Step) -> Iterator[Attempt]:
    """A step's own attempts and those of the calls that its function made, in the order they began."""
    found = list(step.attempts or ())
    for call in step.calls or ():
        found.extend(made(call))
        if call.combines:
            for child in (call.children or {}).values():
                found.extend(everything(child))
    found.sort(key=lambda attempt: attempt.started_at)
    return iter(found)


def everything(step: Step) -> Iterator[Attempt]:
    """Every attempt below a step."""
    yield from made(step)
    if step.combines:
        for child in (step.children or {}).values():
            yield from everything(child)


def add(one: Any, other: Any) -> Any:
    """The sum of what may be unknown."""
    if one is None:
        return other
    return one if other is None else one + other
