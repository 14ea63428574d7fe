"""What happens, as types; telemetry and progress are listeners to these."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from streamer.errors import Category
from streamer.results import Attempt, Result


class AttemptStarted(Struct, frozen=True):
    """A provider is called."""

    task_id: str
    attempt_id: str
    provider: str
    model: str | None


class AttemptEnded(Struct, frozen=True):
    """A call has ended, well or not."""

    task_id: str
    attempt: Attempt


class RetryScheduled(Struct, frozen=True):
    """A call will be made again after ``delay`` seconds; ``attempt`` is the number of the one that failed."""

    task_id: str
    path: str
    attempt: int
    delay: float
    category: Category


class TaskEnded(Struct, frozen=True):
    """A task has its result."""

    result: Result


Event = AttemptStarted | AttemptEnded | RetryScheduled | TaskEnded
Listener = Callable[[Event], object]
