"""One value of many: over the successes, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from streamer.errors import CallFailed, Category


def total(values: Sequence[Any]) -> Any:
    """The sum of numbers; 0 of none."""
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refused("sum", "numbers", value)
    return sum(values)


def concat(values: Sequence[Any]) -> Any:
    """Texts joined, or arrays one after another; an empty text of none."""
    if all(isinstance(value, str) for value in values):
        return "".join(values)
    joined: list[Any] = []
    for value in values:
        if not isinstance(value, list | tuple):
            raise refused("concat", "only texts or only arrays", value)
        joined.extend(value)
    return joined


def merge(values: Sequence[Any]) -> dict[str, Any]:
    """Objects as one; of the same name the later counts."""
    merged: dict[str, Any] = {}
    for value in values:
        if not isinstance(value, dict):
            raise refused("merge", "objects", value)
        merged.update(value)
    return merged


def refused(name: str, takes: str, value: Any) -> CallFailed:
    return CallFailed(Category.INVALID_RESPONSE, f"reduce: {name} takes {takes}, not {type(value).__name__}.")


REDUCTIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "sum": total,
    "count": len,
    "concat": concat,
    "merge": merge,
}

FOLDS: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda so_far, value: total((so_far, value)),
    "count": lambda so_far, _: so_far + 1,
}
"""Those that need no value twice, one value at a time, from 0."""
