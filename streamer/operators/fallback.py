"""One after another until one succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from streamer.errors import FINAL, CallFailed, Category, ChildrenFailed, category_of
from streamer.operand import as_single
from streamer.operators.race import widest
from streamer.operators.retry_on import categories
from streamer.operators.telling import Callback, Callbacks, tell
from streamer.scope import own_cancellation
from streamer.single import Operand, Single
from streamer.step import Step


def fallback(
    *candidates: Operand,
    on: Collection[Category | str] | None = None,
    on_error: Callback | None = None,
) -> Single[Any]:
    """Try the candidates in order; the value is that of the first to succeed.

    Each has its own retries, and none sees another's partial output. ``on`` names the error categories that go
    on to the next: by default all but ``content_filter``, ``cancelled`` and ``deadline``. A request too long for
    a model goes only to one whose window is not known to be as small. Cancellation from outside starts nothing.
    If all fail: one :class:`ChildrenFailed` with every failure by its index. Without candidates: ``ValueError``.

    ``on_error(error, index)``, sync or async, is told of each candidate that fails, before the next begins; what it raises
    changes nothing.
    """
    if not candidates:
        raise ValueError("fallback() needs at least one candidate.")
    singles = [as_single(candidate) for candidate in candidates]
    told = Callbacks(None, None, on_error).error
    accepted = None if on is None else categories("on", on)

    async def run(step: Step) -> Any:
        step.combines = True
        steps = [step.child(index, single) for index, single in enumerate(singles)]
        failures: dict[int | str, Exception] = {}
        too_small = 0
        for index, single in enumerate(singles):
            child = steps[index]
            if too_small and (single.context_window or too_small + 1) <= too_small:
                child.skipped = "Its context window is not larger than that of the candidate before."
                continue
            try:
                value = await child.run(single)
            except Exception as error:
                if own_cancellation():  # its code swallowed the cancellation, which is no failure
                    raise asyncio.CancelledError from error
                failures[index] = error
                if told is not None:
                    await tell(told, error, index)
                category = category_of(error)
                if category in FINAL if accepted is None else category not in accepted:
                    skip(steps[index + 1 :], f"The candidate before failed with {category}.")
                    break
                if category is Category.CONTEXT_LENGTH:
                    too_small = max(too_small, window_of(error) or single.context_window or 0)
            else:
                step.winner = index
                step.answered = child.answered
                skip(steps[index + 1 :], "The candidate before succeeded.")
                return value
        raise ChildrenFailed("fallback", failures, len(singles))

    return Single(
        run,
        "fallback",
        given=lambda previous: fallback(
            *(single.given(previous) for single in singles), on=on, on_error=on_error
        ),
        context_window=widest(singles),
    )


def skip(steps: list[Step], why: str) -> None:
    """Account for the candidates that are not needed."""
    for step in steps:
        step.skipped = why


def window_of(error: Exception) -> int | None:
    """The context window that a request did not fit in, where the error knows it."""
    return error.context_window if isinstance(error, CallFailed) else None
