"""One task to its full Result, written by hand: what the peers have in place of an engine.

``once`` makes one call, ``guarded`` has the task's timeout and retry, ``answers`` does by hand what
``topologies/answers.py`` does. They share nothing with Streamer but the types of the wire and the providers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from msgspec import UNSET

from streamer.errors import CallFailed, Category
from streamer.providers.echo import Echo
from streamer.providers.protocol import Provider, Request, Response
from streamer.providers.simulated import Simulated
from streamer.results import Attempt, Failure, Result, Status, Usage
from streamer.tasks import Llm, Message, Retry

Answer = Callable[[Llm, float], Awaitable[Result]]
"""From a task, and when it was received on the clock of ``monotonic``, to its result."""

PASSING = {
    Category.NETWORK,
    Category.TIMEOUT,
    Category.RATE_LIMIT,
    Category.OVERLOADED,
    Category.SERVER_ERROR,
    Category.INVALID_RESPONSE,
}
monotonic = time.monotonic
EPOCH = time.time() - monotonic()


def instant(at: float) -> datetime:
    return datetime.fromtimestamp(EPOCH + at, UTC)


class Model(NamedTuple):
    """A provider as a task names it."""

    provider: Provider
    scheme: str
    name: str | None


MODELS: dict[str, Model] = {}


def model(name: str) -> Model:
    """The same provider for all who name it."""
    found = MODELS.get(name)
    if found is None:
        scheme, _, rest = name.partition(":")
        provider: Provider = Echo() if scheme == "echo" else Simulated.parse(rest)
        found = MODELS[name] = Model(provider, scheme, rest.partition("?")[0] or None)
    return found


def messages(task: Llm) -> tuple[Message, ...]:
    if task.messages is not None:
        return task.messages
    question = Message(role="user", content=task.prompt)
    return (question,) if task.system is None else (Message(role="system", content=task.system), question)


async def call(target: Model, task: Llm, asked: tuple[Message, ...], attempt_id: str) -> Response:
    answer: Any = target.provider.answer(
        Request(messages=asked, model=target.name, parameters=task.parameters or {}, attempt_id=attempt_id)
    )
    return await answer  # type: ignore[no-any-return]


class Outcome(NamedTuple):
    """How a call, or a call made again and again, ended."""

    target: Model
    started: float
    finished: float
    attempts: tuple[Attempt, ...]
    response: Response | None
    error: BaseException | None


async def once(task: Llm, received: float) -> Result:
    """One call, and no second thought."""
    assert task.id is not None
    assert task.model is not None
    target = model(task.model)
    attempt_id = f"{task.id}#1"
    started = monotonic()
    response: Response | None = None
    error: Exception | None = None
    try:
        response = await call(target, task, messages(task), attempt_id)
    except Exception as raised:
        error = raised
    finished = monotonic()
    attempts = (attempt_of(target, attempt_id, started, finished, response, error),)
    return result_of(task, task.id, received, Outcome(target, started, finished, attempts, response, error))


async def guarded(task: Llm, received: float) -> Result:
    """The task's own timeout and retry."""
    assert task.id is not None
    assert task.model is not None
    clock = task.timeout
    assert clock is None or isinstance(clock, float | int)
    outcome = await persistent(model(task.model), task, task.id, clock, task.retry or ONCE)
    return result_of(task, task.id, received, outcome)


async def persistent(target: Model, task: Llm, path: str, clock: float | None, policy: Retry) -> Outcome:
    """Call until it succeeds, or fails in a way that does not pass, or too often. Cancelled, it says so."""
    asked = messages(task)
    attempts: list[Attempt] = []
    began = monotonic()
    number = 0
    while True:
        number += 1
        attempt_id = f"{path}#{number}"
        started = monotonic()
        response: Response | None = None
        error: BaseException | None = None
        try:
            async with asyncio.timeout(clock):
                response = await call(target, task, asked, attempt_id)
        except (Exception, asyncio.CancelledError) as raised:
            error = raised
        finished = monotonic()
        attempts.append(attempt_of(target, attempt_id, started, finished, response, error))
        if error is None or number >= policy.max_attempts or category_of(error) not in PASSING:
            return Outcome(target, began, finished, tuple(attempts), response, error)
        wait = min(policy.max_delay, policy.initial_delay * policy.multiplier ** (number - 1))
        try:
            await asyncio.sleep(max(wait, getattr(error, "retry_after", None) or 0.0))
        except asyncio.CancelledError as raised:
            return Outcome(target, began, monotonic(), tuple(attempts), None, raised)


ONCE = Retry(max_attempts=1)


def category_of(error: BaseException) -> Category:
    if isinstance(error, CallFailed):
        return error.category
    if isinstance(error, asyncio.CancelledError):
        return Category.CANCELLED
    if isinstance(error, TimeoutError):
        return Category.TIMEOUT
    return Category.NETWORK if isinstance(error, ConnectionError) else Category.INTERNAL


def status_of(error: BaseException | None) -> Status:
    if error is None:
        return Status.SUCCEEDED
    if isinstance(error, asyncio.CancelledError):
        return Status.CANCELLED
    return Status.TIMED_OUT if isinstance(error, TimeoutError) else Status.FAILED


def failure_of(target: Model, error: BaseException) -> Failure:
    return Failure(
        category=category_of(error),
        type=type(error).__name__,
        message=str(error) or type(error).__name__,
        provider=target.scheme,
        http_status=getattr(error, "http_status", None),
    )


def attempt_of(
    target: Model,
    attempt_id: str,
    started: float,
    finished: float,
    response: Response | None,
    error: BaseException | None,
) -> Attempt:
    return Attempt(
        id=attempt_id,
        provider=target.scheme,
        model=target.name,
        outcome=status_of(error),
        category=None if error is None else category_of(error),
        started_at=instant(started),
        duration=finished - started,
        time_to_first_token=None,
        usage=None if response is None else response.usage,
        cost=None if response is None else response.cost,
        violations=(),
    )


def result_of(task: Llm, task_id: str, received: float, outcome: Outcome, *, value: bool = True) -> Result:
    """The Result of one leaf; a child's without the value, where its parent has it."""
    target, started, finished, attempts, response, error = outcome
    usage, cost = paid(attempts)
    return Result(
        task_id=task_id,
        kind="llm",
        status=status_of(error),
        value=UNSET if not value else None if response is None else response.text,
        error=None if error is None else failure_of(target, error),
        tag=task.tag,
        metadata=task.metadata,
        provider=None if response is None else target.scheme,
        model=None if response is None else target.name,
        finish_reason=None if response is None else response.finish_reason,
        degraded=response is not None and response.degraded,
        attempts=attempts,
        usage=usage,
        cost=cost,
        received_at=instant(received),
        started_at=instant(started),
        finished_at=instant(finished),
        queue_time=started - received,
        duration=finished - started,
    )


def paid(attempts: Iterable[Attempt | Result]) -> tuple[Usage | None, float | None]:
    """The sums of usage and cost, where they are known."""
    usage: Usage | None = None
    cost: float | None = None
    for attempt in attempts:
        if attempt.usage is not None:
            usage = attempt.usage if usage is None else usage + attempt.usage
        if attempt.cost is not None:
            cost = (cost or 0.0) + attempt.cost
    return usage, cost


THRICE, FIVE_TIMES = Retry(max_attempts=3), Retry(max_attempts=5)
QUICK, OTHER, CAREFUL = (os.environ.get(f"{name}_MODEL", "echo:") for name in ("QUICK", "OTHER", "CAREFUL"))


async def answers(task: Llm, received: float) -> Result:
    """A race of two, each retried under a timeout, and one to fall back to."""
    assert task.id is not None
    task_id = task.id
    started = monotonic()
    winner, contenders = await race(task, f"{task_id}/0")
    raced = monotonic()
    careful: Outcome | None = None
    if winner is None:
        careful = await persistent(model(CAREFUL), task, f"{task_id}/1", 60.0, FIVE_TIMES)
    finished = monotonic()

    leaves = tuple(
        result_of(task, f"{task_id}/0/{index}", outcome.started, outcome, value=index != winner)
        for index, outcome in enumerate(contenders)
    )
    # The kinds below the task's own say nothing of tag and metadata: no task on the wire put them there.
    first = combined(
        f"{task_id}/0",
        "race",
        None if winner is None else contenders[winner],
        contenders[0].error,
        started,
        Outcome(contenders[0].target, started, raced, (), None, None),
        leaves,
        winner,
        value=UNSET if winner is not None else None,
    )
    if careful is None:
        second = skipped(f"{task_id}/1", "The candidate before succeeded.", started, finished)
        answered, place = contenders[winner or 0], 0
    else:
        second = result_of(task, f"{task_id}/1", careful.started, careful, value=careful.response is None)
        answered, place = careful, 1
    return combined(
        task_id,
        "llm",
        answered if answered.response is not None else None,
        answered.error,
        received,
        Outcome(answered.target, started, finished, (), None, None),
        (first, second),
        place if answered.response is not None else None,
        value=None if answered.response is None else answered.response.text,
        task=task,
    )


async def race(task: Llm, path: str) -> tuple[int | None, list[Outcome]]:
    """The index of the first to succeed, the lowest of several, and how both ended; the loser is cancelled."""
    contenders = [
        asyncio.create_task(persistent(model(name), task, f"{path}/{index}", 10.0, THRICE))
        for index, name in enumerate((QUICK, OTHER))
    ]
    winner: int | None = None
    pending = set(contenders)
    try:
        while pending and winner is None:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            winner = next(
                (i for i, one in enumerate(contenders) if one in done and one.result().error is None), None
            )
    finally:
        for one in pending:
            one.cancel()
        if pending:
            await asyncio.wait(pending, timeout=1.0)
    return winner, [one.result() for one in contenders]


def combined(
    task_id: str,
    kind: str,
    answered: Outcome | None,
    error: BaseException | None,
    received: float,
    span: Outcome,
    children: tuple[Result, ...],
    winner: int | None,
    *,
    value: Any,
    task: Llm | None = None,
) -> Result:
    """The Result of a race or a fallback."""
    usage, cost = paid(children)
    response = None if answered is None else answered.response
    target = span.target if answered is None else answered.target
    failed = error if answered is None else None
    return Result(
        task_id=task_id,
        kind=kind,
        status=status_of(failed),
        value=value,
        error=None if failed is None else failure_of(target, failed),
        tag=None if task is None else task.tag,
        metadata=None if task is None else task.metadata,
        provider=None if response is None else target.scheme,
        model=None if response is None else target.name,
        finish_reason=None if response is None else response.finish_reason,
        degraded=response is not None and response.degraded,
        attempts=(),
        usage=usage,
        cost=cost,
        received_at=instant(received),
        started_at=instant(span.started),
        finished_at=instant(span.finished),
        queue_time=span.started - received,
        duration=span.finished - span.started,
        winner=UNSET if winner is None else winner,
        children=children,
    )


def skipped(task_id: str, why: str, started: float, finished: float) -> Result:
    """The Result of a candidate that was not needed."""
    return Result(
        task_id=task_id,
        kind="llm",
        status=Status.SKIPPED,
        value=None,
        error=Failure(category=Category.DEPENDENCY_FAILED, type="Skipped", message=why),
        received_at=instant(started),
        started_at=instant(started),
        finished_at=instant(finished),
        queue_time=0.0,
        duration=finished - started,
    )
