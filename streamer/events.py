"""What happens, as types; and the Protocol by which a task remembers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from msgspec import UNSET, Struct, UnsetType

from streamer.errors import Category
from streamer.results import Attempt, Failure, Result


class AttemptStarted(Struct, frozen=True):
    """A provider is called."""

    task_id: str
    attempt_id: str
    provider: str
    model: str | None

    @property
    def path(self) -> str:
        """Of the step that calls: a child's index or name per combinator."""
        return path_of(self.task_id, self.attempt_id)


class AttemptEnded(Struct, frozen=True):
    """A call has ended, well or not."""

    task_id: str
    attempt: Attempt

    @property
    def path(self) -> str:
        """Of the step that called."""
        return path_of(self.task_id, self.attempt.id)


class RetryScheduled(Struct, frozen=True):
    """The step at ``path`` will be run again after ``delay`` seconds; its run number ``attempt`` failed."""

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


def path_of(task_id: str, attempt_id: str) -> str:
    """The step that an attempt was made at."""
    return attempt_id[len(task_id) : attempt_id.rindex("#")]


class Answer(Struct, frozen=True, kw_only=True):
    """What a provider answered, or a function returned (then it is the ``value`` alone)."""

    text: str = ""
    value: Any | UnsetType = UNSET
    model: str | None = None
    finish_reason: str | None = None
    degraded: bool = False


class Outcome(Struct, frozen=True, kw_only=True):
    """How one attempt of a step ended: what a journal remembers of it.

    ``path`` and ``number`` say which attempt of which step of its task; ``digest`` of what was asked whom, so that
    the answer to another question is never taken for it. A success has an ``answer``, a failure a ``failure``.
    ``not_before`` is the instant, in seconds since the epoch, before which the next attempt is not to begin; where
    it is set, another one is wanted. A race notes its winner's index, with a number below 1. ``repeated`` is how many
    calls of the task, so far, an earlier run may have made as well.
    """

    path: str
    number: int
    digest: bytes
    attempt: Attempt
    answer: Answer | None = None
    failure: Failure | None = None
    not_before: float | None = None
    repeated: int = 0


class TaskJournal(Protocol):
    """What one task remembers across crashes and rebalances of the worker that runs it.

    ``restarted``: another run of it may have begun before this one. ``unsettled``: something noted is not durable
    yet. ``unsure``: the worker may be out of its group. ``gone``: the task is no longer this worker's; no further call is to begin.
    """

    @property
    def restarted(self) -> bool: ...

    @property
    def unsettled(self) -> bool: ...

    @property
    def unsure(self) -> bool: ...

    @property
    def gone(self) -> bool: ...

    def recall(self, path: str, number: int) -> Outcome | None:
        """The outcome of this attempt in an earlier run; the caller compares digests."""
        ...

    def note(self, outcome: Outcome) -> None:
        """Write it soon; what a task's last step answered need not be written, for its result is."""
        ...

    async def settle(self) -> None:
        """Wait until it is settled and sure, or gone; to be awaited before the next paid call begins."""
        ...

    def park(self) -> None:
        """All that the task does is wait for long: it gives up its place among the outstanding."""
        ...

    def unpark(self) -> None:
        """It goes on."""
        ...
