"""What one result tells of how it came about, whether it was made in this process or read from a topic."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import UNSET

from streamer.telemetry import spans
from streamer.telemetry.spans import Span

if TYPE_CHECKING:
    from streamer.results import Attempt, Result

FUNCTION = "function"
"""What attempts of registered functions have for their provider."""


def everything(result: Result) -> Iterator[Attempt]:
    """Every attempt of a result and of its children."""
    yield from result.attempts
    for child in result.each_child():
        yield from everything(child)


def answering(result: Result) -> Attempt | None:
    """The attempt that answered; None where there is none, or where several calls did together."""
    if not result.succeeded:
        return None
    if isinstance(result.winner, int):
        return answering(result.each_child()[result.winner])
    if result.children is not UNSET:
        return None
    succeeded = [attempt for attempt in result.attempts if attempt.category is None]
    paths = {attempt.id.rpartition("#")[0] for attempt in succeeded}
    return succeeded[-1] if len(paths) == 1 else None


def tokens_per_second(result: Result) -> float | None:
    """Output tokens of the attempt that answered, over the time that it generated them."""
    attempt = answering(result)
    if attempt is None or attempt.usage is None:
        return None
    seconds = attempt.duration - (attempt.time_to_first_token or 0.0)
    return attempt.usage.output_tokens / seconds if seconds > 0 else None


def time_to_first_token(result: Result) -> float | None:
    """Of the attempt that answered."""
    attempt = answering(result)
    return None if attempt is None else attempt.time_to_first_token


def peak_concurrency(result: Result) -> int:
    """The most of its leaves that were at work at once."""
    return spans.peak(working(result, result.started_at))


def speed_up(result: Result) -> float | None:
    """How many times longer it would have taken, had its leaves worked one after another."""
    whole = result.duration
    work = spans.within(working(result, result.started_at), 0.0, whole)
    if not work or whole <= 0:
        return None
    return (whole + spans.together(work) - spans.covered(work)) / whole


def working(result: Result, origin: datetime) -> list[Span]:
    """When its leaves were at work, in seconds after ``origin``.

    A leaf is an attempt, or a callable that made none. An attempt of a function is not at work while calls of its
    own are. What an earlier run of the task had attempted is not counted.
    """
    began = seconds(result.started_at, origin) - spans.HANDOVER
    return [span for span in leaves(result, origin) if span[0] >= began]


def leaves(result: Result, origin: datetime) -> Iterator[Span]:
    if result.attempts:
        for attempt in result.attempts:
            yield from at_work(attempt, result.attempts, origin)
    elif result.children is UNSET and result.kind != "llm" and result.status != "skipped":
        start = seconds(result.started_at, origin)
        yield start, start + result.duration
    for child in result.each_child():
        yield from leaves(child, origin)


def at_work(attempt: Attempt, beside: tuple[Attempt, ...], origin: datetime) -> list[Span]:
    """When an attempt was at work itself; ``beside`` it are those of the calls that it made."""
    span = lasted(attempt, origin)
    if attempt.provider != FUNCTION or len(beside) == 1:
        return [span]
    prefix = attempt.id.rpartition("#")[0] + "~"
    return spans.without(span, [lasted(call, origin) for call in beside if call.id.startswith(prefix)])


def lasted(attempt: Attempt, origin: datetime) -> Span:
    start = seconds(attempt.started_at, origin)
    return start, start + attempt.duration


def seconds(instant: datetime, origin: datetime) -> float:
    return (instant - origin).total_seconds()
