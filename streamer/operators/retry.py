"""Again, after a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from random import Random
from typing import Any

import msgspec

from streamer.errors import CallFailed, Category, ChildrenFailed, SettingsError, category_of
from streamer.events import RetryScheduled
from streamer.forms import known_only
from streamer.operand import as_single
from streamer.operators.backoff import delay
from streamer.operators.remaining import again_wanted, back_off
from streamer.operators.retry_on import RetryOn, Wanted, chooser
from streamer.operators.telling import Callback, tell
from streamer.scope import not_cancelled, own_cancellation
from streamer.single import Operand, Run, Single
from streamer.spending import spent
from streamer.step import Step
from streamer.tasks import Retry

CHANCE = Random()
Operator = Callable[[Operand], Single[Any]]


def retry(
    max_attempts: int | Retry = 3,
    *,
    retry_on: RetryOn | None = None,
    retry_if_result: Callable[[Any], bool | Awaitable[bool]] | None = None,
    on_retry: Callback | None = None,
    on_failure: Callback | None = None,
    random: Random | None = None,
    **settings: Any,
) -> Operator:
    """Run it again when it fails, at most ``max_attempts`` times in all, the first included.

    Further settings, in seconds: ``initial_delay`` (1), ``max_delay`` (60), ``backoff`` (``fixed``, ``linear``,
    ``exponential``, ``jitter``, ``decorrelated``), ``multiplier`` (2), ``jitter`` (0.1); or a :class:`Retry`.
    ``retry_on`` is a collection of error categories and exception types, or a predicate; by default what passes by
    itself (network, timeout, rate limit, overload, server error, invalid response). ``retry_if_result`` asks for
    another attempt by the value; the last value is returned. A predicate that raises is the failure, and is not
    retried. A provider's Retry-After is obeyed where it is longer than the back-off. A back-off holds no slot; one
    that an earlier run of the task began, as its journal remembers, is not begun anew. Cancellation is never retried.
    The budgets of the task and of the provider may end it sooner, as the last error then says.

    ``on_retry(attempt, error, delay)`` is told before each back-off, with None for the error where the value was
    refused; ``on_failure(error)`` once it is given up. They may be async; what they raise changes nothing.
    """
    if not isinstance(max_attempts, Retry):
        policy = checked({"max_attempts": max_attempts, **settings})
    elif settings:
        raise ValueError(f"retry: {', '.join(settings)} belongs in the Retry, which is given as well.")
    else:
        policy = checked(msgspec.structs.asdict(max_attempts))
        if retry_on is not None and policy.retry_on is not None:
            raise ValueError("retry: retry_on is given twice, in the Retry and beside it.")
    if not (retry_if_result is on_retry is on_failure is None):
        functions(retry_if_result=retry_if_result, on_retry=on_retry, on_failure=on_failure)
    if random is not None and not isinstance(random, Random):
        raise ValueError(f"random is a random.Random, not {random!r}.")
    wanted = chooser(policy.retry_on if retry_on is None else retry_on)
    attempts = Attempts(policy, wanted, retry_if_result, on_retry, on_failure, random)

    def operator(source: Operand) -> Single[Any]:
        single = as_single(source)

        def run(step: Step) -> Coroutine[Any, Any, Any]:
            return attempts.made(step, single.at)

        return single.like(run, operator)

    return operator


def retried(policy: Retry) -> Operator:
    """The same by a policy of a task, or of all tasks, which was judged before.

    It gives way to a ``retry`` that is put around it, and to a policy of what it is put around.
    """
    attempts = Attempts(policy)

    def operator(source: Operand) -> Single[Any]:
        single = as_single(source)
        if retries_itself(single):
            return single

        def run(step: Step) -> Coroutine[Any, Any, Any]:
            return single.at(step) if step.retrying else attempts.made(step, single.at)

        made = single.like(run, operator)
        made.retries = policy
        return made

    return operator


def retries_itself(single: Single[Any]) -> bool:
    """Whether it, or what it stands around, has a policy of its own."""
    inner: Single[Any] | None = single
    while inner is not None and inner.retries is None:
        inner = inner.around
    return inner is not None


class Attempts:
    """How something is attempted until it succeeds, or is given up."""

    __slots__ = ("on_failure", "on_retry", "policy", "random", "refused", "wanted")

    def __init__(
        self,
        policy: Retry,
        wanted: Wanted | None = None,
        refused: Callable[[Any], bool | Awaitable[bool]] | None = None,
        on_retry: Callback | None = None,
        on_failure: Callback | None = None,
        random: Random | None = None,
    ) -> None:
        self.policy = policy
        self.wanted = wanted or chooser(policy.retry_on)
        self.refused = refused
        self.on_retry = on_retry
        self.on_failure = on_failure
        self.random = random or CHANCE

    async def made(self, step: Step, at: Run[Any]) -> Any:
        """The value of the attempt that succeeded, else the error of the last one."""
        attempt, wait = 1, 0.0
        around, step.retrying = step.retrying, True
        try:
            while True:
                last = attempt >= self.policy.max_attempts
                failed: Exception | None = None
                try:
                    value = await at(step)
                except Exception as error:
                    if last or not await self.worth(error, step):
                        raise
                    if own_cancellation():  # its code swallowed the cancellation, which is no failure
                        raise asyncio.CancelledError from error
                    if (why := spent(step)) is not None:
                        if why not in getattr(error, "__notes__", ()):
                            error.add_note(why)
                        raise
                    failed = error
                else:
                    if last or self.refused is None or not await seen(self.refused(value)):
                        return value
                    not_cancelled()
                    if spent(step) is not None:
                        return value
                wait = delay(self.policy, attempt, wait, self.random)
                await self.pause(step, attempt, failed, max(wait, retry_after(failed)))
                step.winner = step.answered = None
                attempt += 1
        except Exception as error:
            if self.on_failure is not None and not own_cancellation():
                await tell(self.on_failure, error)
            raise
        finally:
            if not around:
                step.retrying = False

    async def worth(self, error: Exception, step: Step) -> bool:
        """Whether an error is worth another attempt, now or in the eyes of an earlier run."""
        wanted = self.wanted(error)
        if type(wanted) is not bool:
            wanted = bool(await seen(wanted))
        return wanted or (step.scope.journal is not None and again_wanted(step))

    async def pause(self, step: Step, attempt: int, failed: Exception | None, wait: float) -> None:
        """Back off, or for what is left of it, and say so."""
        scope = step.scope
        left = wait if scope.journal is None else back_off(step, wait, failed is not None)
        if left is None:
            return
        if scope.listener is not None:
            category = Category.INVALID_RESPONSE if failed is None else category_of(failed)
            scope.emit(RetryScheduled(scope.task_id, step.path, attempt, left, category))
        if self.on_retry is not None:
            await tell(self.on_retry, attempt, failed, left)
        await step.pause(left)


def functions(**given: Any) -> None:
    """Refuse what can't be called."""
    for name, function in given.items():
        if function is not None and not callable(function):
            raise ValueError(f"{name} is a function, not {function!r}.")


async def seen(answer: Any) -> Any:
    """What a predicate says, async or not."""
    return await answer if isawaitable(answer) else answer


def retry_after(error: Exception | None) -> float:
    """The seconds that providers asked for; of several, the longest."""
    if isinstance(error, ChildrenFailed):
        return max(retry_after(failure) for failure in error.failures.values())
    return (error.retry_after or 0.0) if isinstance(error, CallFailed) else 0.0


def by_default(given: Retry | int | None, whose: str) -> Retry | None:
    """How calls are retried that say nothing of it: a policy, or how many attempts in all."""
    if given is None:
        return None
    if isinstance(given, Retry):
        return checked(msgspec.structs.asdict(given))
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise SettingsError(
            f"{whose}: retry is how many attempts in all, at least 1, or a streamer.Retry, not {given!r}."
        )
    return Retry(max_attempts=given)


def checked(settings: dict[str, Any]) -> Retry:
    """The policy, or a ValueError that names the setting and its range."""
    known_only("retry", Retry, settings)
    try:
        return msgspec.convert(settings, Retry)
    except msgspec.ValidationError as error:
        raise ValueError(f"retry: {error}") from error
