"""Again, after a while."""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random
from typing import Any

import msgspec

from streamer.errors import RETRIED, CallFailed, Category, category_of
from streamer.events import RetryScheduled
from streamer.operators.backoff import delay
from streamer.scope import Step
from streamer.single import Operand, Single, as_single
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
    longer than the back-off. A back-off holds no slot. Cancellation is never retried.
    """
    policy = max_attempts if isinstance(max_attempts, Retry) else checked(max_attempts, settings)
    wanted = chooser(policy.retry_on if retry_on is None else retry_on)
    source_of_chance = random or CHANCE

    def operator(source: Operand) -> Single[Any]:
        single = as_single(source)

        async def run(step: Step) -> Any:
            attempt, wait = 1, 0.0
            while True:
                last = attempt >= policy.max_attempts
                try:
                    value = await single.at(step)
                    if last or retry_if_result is None or not retry_if_result(value):
                        return value
                    category, asked = Category.INVALID_RESPONSE, None
                except Exception as error:
                    if last or not wanted(error):
                        raise
                    category = category_of(error)
                    asked = error.retry_after if isinstance(error, CallFailed) else None
                wait = delay(policy, attempt, wait, source_of_chance)
                if asked is not None and asked > wait:
                    wait = asked
                scope = step.scope
                if scope.listener is not None:
                    scope.emit(RetryScheduled(scope.task_id, step.path, attempt, wait, category))
                await scope.pause(wait)
                attempt += 1

        return single.like(run, operator)

    return operator


def checked(max_attempts: int, settings: dict[str, Any]) -> Retry:
    """The policy, or a ValueError that names the setting and its range."""
    try:
        return msgspec.convert({"max_attempts": max_attempts, **settings}, Retry)
    except msgspec.ValidationError as error:
        raise ValueError(f"retry: {error}") from error


def chooser(retry_on: RetryOn | None) -> Callable[[Exception], bool]:
    """Whether an error is worth another attempt."""
    if retry_on is None:
        return lambda error: category_of(error) in RETRIED
    if isinstance(retry_on, type):
        return lambda error: isinstance(error, retry_on)
    if not isinstance(retry_on, Collection):
        return retry_on
    types = tuple(item for item in retry_on if isinstance(item, type))
    categories = frozenset(Category(item) for item in retry_on if not isinstance(item, type))
    return lambda error: isinstance(error, types) or category_of(error) in categories
