"""Again, after a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from random import Random
from typing import Any

import msgspec

from streamer.errors import RETRIED, CallFailed, Category, ChildrenFailed, category_of
from streamer.events import RetryScheduled
from streamer.operand import as_single
from streamer.operators.backoff import delay
from streamer.operators.remaining import again_wanted, back_off
from streamer.scope import own_cancellation
from streamer.single import Operand, Single
from streamer.step import Step
from streamer.tasks import Retry

CHANCE = Random()
Operator = Callable[[Operand], Single[Any]]
RetryOn = Collection[Category | str | type[Exception]] | Callable[[Exception], bool] | type[Exception]


def retry(
    max_attempts: int | Retry = 3,
    *,
    retry_on: RetryOn | None = None,
    retry_if_result: Callable[[Any], bool] | None = None,
    random: Random | None = None,
    **settings: Any,
) -> Operator:
    """Run it again when it fails, at most ``max_attempts`` times in all, the first included.

    Further settings, in seconds: ``initial_delay`` (1), ``max_delay`` (60), ``backoff`` (``fixed``, ``linear``,
    ``exponential``, ``jitter``, ``decorrelated``), ``multiplier`` (2), ``jitter`` (0.1); or a :class:`Retry`.
    ``retry_on`` is a collection of error categories and exception types, or a predicate; by default what passes by
    itself (network, timeout, rate limit, overload, server error, invalid response). ``retry_if_result`` asks for
    another attempt by the value; the last value is returned. A provider's Retry-After is obeyed where it is
    longer than the back-off. A back-off holds no slot; one that an earlier run of the task began, as its journal
    remembers, is not begun anew. Cancellation is never retried.
    """
    if not isinstance(max_attempts, Retry):
        policy = checked({"max_attempts": max_attempts, **settings})
    elif settings:
        raise ValueError(f"retry: {', '.join(settings)} belongs in the Retry, which is given as well.")
    else:
        policy = checked(msgspec.structs.asdict(max_attempts))
    return retried(
        policy, chooser(policy.retry_on if retry_on is None else retry_on), retry_if_result, random
    )


def retried(
    policy: Retry,
    wanted: Callable[[Exception], bool] | None = None,
    retry_if_result: Callable[[Any], bool] | None = None,
    random: Random | None = None,
) -> Operator:
    """The same by a policy that was judged before: a task's, or the one above."""
    if wanted is None:
        wanted = chooser(policy.retry_on)
    chance = random or CHANCE

    def operator(source: Operand) -> Single[Any]:
        single = as_single(source)

        async def run(step: Step) -> Any:
            attempt, wait = 1, 0.0
            scope = step.scope
            while True:
                last = attempt >= policy.max_attempts
                try:
                    value = await single.at(step)
                    if last or retry_if_result is None or not retry_if_result(value):
                        return value
                    category, asked, failed = Category.INVALID_RESPONSE, 0.0, False
                except Exception as error:
                    if last or not (wanted(error) or (scope.journal is not None and again_wanted(step))):
                        raise
                    if own_cancellation():  # its code swallowed the cancellation, which is no failure
                        raise asyncio.CancelledError from error
                    category, asked, failed = category_of(error), retry_after(error), True
                wait = max(delay(policy, attempt, wait, chance), asked)
                left = wait if scope.journal is None else back_off(step, wait, failed)
                if left is not None:
                    if scope.listener is not None:
                        scope.emit(RetryScheduled(scope.task_id, step.path, attempt, left, category))
                    await step.pause(left)
                step.winner = step.answered = None
                attempt += 1

        return single.like(run, operator)

    return operator


def retry_after(error: Exception) -> float:
    """The seconds that providers asked for; of several, the longest."""
    if isinstance(error, ChildrenFailed):
        return max(retry_after(failure) for failure in error.failures.values())
    return (error.retry_after or 0.0) if isinstance(error, CallFailed) else 0.0


def checked(settings: dict[str, Any]) -> Retry:
    """The policy, or a ValueError that names the setting and its range."""
    try:
        return msgspec.convert(settings, Retry)
    except msgspec.ValidationError as error:
        raise ValueError(f"retry: {error}") from error


def chooser(retry_on: RetryOn | None) -> Callable[[Exception], bool]:
    """Whether an error is worth another attempt."""
    if retry_on is None:
        return lambda error: category_of(error) in RETRIED
    if isinstance(retry_on, type):
        retry_on = (retry_on,)
    if not isinstance(retry_on, Collection):
        return retry_on
    if isinstance(retry_on, str):
        retry_on = (retry_on,)
    types = tuple(item for item in retry_on if isinstance(item, type))
    wanted = categories(item for item in retry_on if not isinstance(item, type))
    return lambda error: isinstance(error, types) or category_of(error) in wanted


def categories(names: Iterable[Category | str]) -> frozenset[Category]:
    """Error categories by their names; a name alone is one of them."""
    try:
        return frozenset(Category(name) for name in ((names,) if isinstance(names, str) else names))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}; error categories are {', '.join(Category)}.") from error
