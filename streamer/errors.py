"""What can go wrong, by category: decided by type, status and provider code, never by the words of a message."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from streamer.results import Usage  # which imports the categories from here

T = TypeVar("T")


class Category(StrEnum):
    """The kinds of failure that the wire knows."""

    NETWORK = "network"
    TIMEOUT = "timeout"
    RATE_LIMIT = "rate_limit"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    QUOTA = "quota"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission"
    INVALID_REQUEST = "invalid_request"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    INVALID_RESPONSE = "invalid_response"
    GUARDRAIL = "guardrail"
    BREAKER_OPEN = "breaker_open"
    BUDGET = "budget"
    DEADLINE = "deadline"
    DEPENDENCY_FAILED = "dependency_failed"
    CANCELLED = "cancelled"
    NO_AGREEMENT = "no_agreement"
    INTERNAL = "internal"


RETRIED = frozenset(
    {
        Category.NETWORK,
        Category.TIMEOUT,
        Category.RATE_LIMIT,
        Category.OVERLOADED,
        Category.SERVER_ERROR,
        Category.INVALID_RESPONSE,
    }
)
"""Retried unless a policy says otherwise."""

FINAL = frozenset({Category.CONTENT_FILTER, Category.CANCELLED, Category.DEADLINE})
"""Not answered by the next candidate of a fallback unless it says so."""


LONGEST_NAMED = 400
"""Characters of each failure in the message of a combinator's."""


class StreamerError(Exception):
    """Every error that Streamer itself raises."""


class SettingsError(StreamerError, ValueError):
    """A setting is wrong; the sentence names it and what it may be."""


class QueueFull(StreamerError):
    """A pool has no room, and was asked not to wait for any."""


class PoolDraining(StreamerError):
    """A pool waits until everything submitted is done, and accepts nothing meanwhile."""


class PoolClosed(StreamerError):
    """A pool is shut down, and accepts nothing any more."""


class InvalidTask(StreamerError):
    """A message that the schema refuses: it becomes a dead letter.

    ``reason`` is ``decode_error``, ``validation_error``, ``unknown_kind``, ``too_large`` or ``poison``: a key of
    :data:`streamer.kafka.reasons.REASONS`.
    """

    def __init__(self, reason: str, message: str, task_id: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.task_id = task_id

    def __reduce__(self) -> tuple[Any, ...]:
        return revived, (type(self), str(self)), vars(self)


class CallFailed(StreamerError):
    """One attempt, or one task, failed in a way that has a category.

    ``retry_after`` is in seconds, as the provider asked for it. ``usage`` and ``cost`` (USD) are what was paid for
    though it failed: an answer that was withheld, or broken, was counted all the same.
    """

    def __init__(
        self,
        category: Category | str,
        message: str,
        *,
        provider: str | None = None,
        http_status: int | None = None,
        retry_after: float | None = None,
        context_window: int | None = None,
        usage: Usage | None = None,
        cost: float | None = None,
    ) -> None:
        super().__init__(message)
        self.category = Category(category)
        self.provider = provider
        self.http_status = http_status
        self.retry_after = retry_after
        self.context_window = context_window
        self.usage = usage
        self.cost = cost

    def __reduce__(self) -> tuple[Any, ...]:
        return revived, (type(self), str(self)), vars(self)


class TimedOut(CallFailed, TimeoutError):
    """A clock of the task itself, or its deadline, ended it."""

    def __init__(
        self, message: str, category: Category = Category.TIMEOUT, provider: str | None = None
    ) -> None:
        super().__init__(category, message, provider=provider)


class Skipped(CallFailed):
    """It never began, for what it depended on failed."""

    def __init__(self, message: str) -> None:
        super().__init__(Category.DEPENDENCY_FAILED, message)


class Cancelled(CallFailed):
    """It was ended from within: by a sibling's outcome, or by its own code."""

    def __init__(self, message: str) -> None:
        super().__init__(Category.CANCELLED, message)


class ChildrenFailed(StreamerError, ExceptionGroup):
    """Some children of a combinator failed: ``failures`` by index or name, ``value`` with what was finished.

    ``failed`` is how many did, of which of an endless input only the first are held.
    """

    failures: dict[int | str, Exception]
    failed: int
    value: Any

    def __new__(
        cls,
        what: str,
        failures: Mapping[int | str, Exception],
        total: int,
        value: Any = None,
        failed: int | None = None,
    ) -> Self:
        named = "; ".join(f"{key}: {category_of(e)}: {short(e)}" for key, e in list(failures.items())[:8])
        failed = len(failures) if failed is None else failed
        more = f"; and {failed - 8} more" if failed > 8 else ""
        message = f"{what}: {failed} of {total} failed ({named}{more})"
        self = super().__new__(cls, message, list(failures.values()))
        self.failures = dict(failures)
        self.failed = failed
        self.value = value
        return self

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__(self.message, self.exceptions)

    def derive(self, excs: Sequence[Exception]) -> ExceptionGroup[Exception]:  # type: ignore[override]
        return ExceptionGroup(self.message, excs)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return regrouped, (type(self), self.message, self.exceptions), vars(self)


def revived(kind: type[StreamerError], message: str) -> StreamerError:
    """An error that comes from another process, whatever its class wants to be made of."""
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


def regrouped(
    kind: type[ChildrenFailed], message: str, failures: Sequence[Exception]
) -> ExceptionGroup[Exception]:
    """The same of a group."""
    return ExceptionGroup.__new__(kind, message, failures)


def short(error: Exception) -> str:
    """What an error says, at most so much that eight fit in a message."""
    text = str(error)
    return text if len(text) <= LONGEST_NAMED else f"{text[:LONGEST_NAMED]} …"


def category_of(error: BaseException) -> Category:
    """The category of anything that user code or a provider can raise.

    Python's own errors are permanent (``internal``) but for those of the network and of time.
    """
    if isinstance(error, CallFailed):
        return error.category
    if isinstance(error, ChildrenFailed):
        return category_of(error.exceptions[0])
    if isinstance(error, asyncio.CancelledError):
        return Category.CANCELLED
    if isinstance(error, TimeoutError):
        return Category.TIMEOUT
    if isinstance(error, ConnectionError):
        return Category.NETWORK
    return Category.INTERNAL


def contained(error: BaseException) -> BaseException:
    """What a task's error counts as: SystemExit, or the panic of a native extension, is that task's failure alone.

    Python lets such errors end the event loop, and with it all other tasks, at each redelivery anew. Ctrl-C, and
    the closing of a coroutine, are nobody's failure and stay what they are.
    """
    if isinstance(error, Exception | asyncio.CancelledError | KeyboardInterrupt | GeneratorExit):
        return error
    return StreamerError(f"It raised {error!r}.")


async def contain(work: Coroutine[Any, Any, T]) -> T:
    """``work`` as what an asyncio task of its own may run."""
    try:
        return await work
    except BaseException as error:
        failure = contained(error)
        if failure is error:
            raise
        raise failure from error
