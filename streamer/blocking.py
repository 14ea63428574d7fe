"""Which of a user's functions keeps the event loop from everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

LONG = 0.1
"""Seconds on the loop in one go that are worth a note."""


class Kept(NamedTuple):
    """A function, where it stands, and how many seconds it kept the loop."""

    name: str
    seconds: float


_longest: Kept | None = None


def called(now: Callable[[], float], function: Callable[..., T], *args: Any) -> T:
    """Call a user's function on the loop, whose clock is ``now``, and note it if that took long."""
    began = now()
    returned = function(*args)
    if (seconds := now() - began) > LONG:
        note(function, seconds)
    return returned


def note(function: Callable[..., Any], seconds: float) -> None:
    """A function returned only after that long."""
    global _longest
    if _longest is None or seconds > _longest.seconds:
        _longest = Kept(place_of(function), seconds)


def taken() -> Kept | None:
    """Who kept the loop for longest since this was asked last."""
    global _longest
    longest, _longest = _longest, None
    return longest


def place_of(function: Callable[..., Any]) -> str:
    """Its name, with file and line where there are any."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"
