"""A step's end as a Result: the one place where results are made."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from sys import getrecursionlimit
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from streamer.attempts import add, below, gone, made
from streamer.call import status_of
from streamer.errors import Cancelled, Category, Skipped, StreamerError, TimedOut
from streamer.failures import failure
from streamer.results import Result, Status
from streamer.settled import family
from streamer.step import Step

utc = datetime.fromtimestamp


def result_of(
    step: Step,
    *,
    value: Any,
    error: BaseException | None,
    received: float,
    kind: str | None = None,
    task_id: str | None = None,
) -> Result:
    """The Result of a step that has ended; ``received`` is on the loop's clock."""
    scope = step.scope
    started = step.started if step.started is not None else received
    finished = step.finished
    if finished is None:
        finished = received if step.started is None else scope.now()
    task = step.task
    answered = step.answered
    attempts = tuple(step.attempts) if step.calls is None and step.attempts else tuple(made(step))
    usage, cost = step.let_go if step.calls is None else gone(step, own=False)
    children: Any = UNSET
    if step.combines:
        children = children_of(step, value, received)
        for child in children.values() if isinstance(children, dict) else children:
            usage = add(usage, child.usage)
            cost = add(cost, child.cost)
    for attempt in attempts:
        if attempt.usage is not None:
            usage = add(usage, attempt.usage)
        if attempt.cost is not None:
            cost = add(cost, attempt.cost)
    epoch = scope.epoch
    provider, model, finish_reason, degraded = answered or (None, None, None, False)
    return Result(
        task_id=task_id or scope.task_id + step.path,
        kind=kind or step.kind or "function",
        status=Status.SUCCEEDED if error is None else status_of(error, step),
        value=value,
        error=None if error is None else failure(error),
        tag=(task.tag if task is not None else None) or step.tag,
        metadata=task.metadata if task is not None else None,
        provider=provider,
        model=model,
        finish_reason=finish_reason,
        degraded=degraded,
        attempts=attempts,
        usage=usage,
        cost=cost,
        received_at=utc(epoch + received, UTC),
        started_at=utc(epoch + started, UTC),
        finished_at=utc(epoch + finished, UTC),
        queue_time=started - received,
        duration=finished - started,
        winner=UNSET if step.winner is None else step.winner,
        agreement=UNSET if step.agreement is None else step.agreement,
        children=children,
    )


def flattened(step: Step, *, value: Any, **told: Any) -> Result:
    """The Result of what nests too deeply to be told child by child: every attempt below it is its own here."""
    step.attempts, step.calls, step.combines = below(step), None, False
    error = StreamerError(
        f"It nests too deeply for Python, whose recursion limit is {getrecursionlimit()}: its children can't be "
        "listed. Nest at most 200 operators."
    )
    return result_of(step, value=value, error=error, **told)


def children_of(step: Step, value: Any, received: float) -> tuple[Result, ...] | dict[str, Result]:
    """The children's results in the task's shape."""
    results = {key: child_result(step, key, child, value, received) for key, child in family(step).items()}
    return {str(key): result for key, result in results.items()} if step.named else tuple(results.values())


def child_result(parent: Step, key: int | str, child: Step, value: Any, received: float) -> Result:
    """A child's result, without the value that its parent's holds at the same place."""
    began = child.started
    if began is None:  # it never did, as was certain when its parent ended
        began = parent.finished if parent.finished is not None else parent.started
    result = result_of(
        child,
        value=child.value,
        error=child_error(child),
        received=received if began is None else began,
    )
    if result.status is Status.SUCCEEDED and held(parent, key, child, value):
        return replace(result, value=UNSET)
    return result


def child_error(child: Step) -> BaseException | None:
    """Why a child did not succeed, seen from its parent's end."""
    if child.skipped is not None or child.started is None:
        return Skipped(child.skipped or "Its parent ended before it began.")
    error = child.error
    if child.finished is not None and not isinstance(error, asyncio.CancelledError):
        return error
    ended = child.scope.now() if child.finished is None else child.finished
    if child.deadline is not None and ended >= child.deadline:
        return TimedOut("The deadline has passed.", Category.DEADLINE)
    if child.finished is None:
        return Cancelled("It was cancelled, and had not ended when the grace was over.")
    return Cancelled("It was cancelled.")


def held(parent: Step, key: int | str, child: Step, value: Any) -> bool:
    """Whether the parent's value holds the child's: is it, or has it at the same place."""
    if parent.agreement is not None:
        return False
    if key == parent.winner:
        return value is child.value
    if parent.named:
        return isinstance(value, dict) and key in value and value[key] is child.value
    at = key if isinstance(key, int) else 0
    return isinstance(value, list) and at < len(value) and value[at] is child.value
