"""A step's end as a Result: the one place where results are made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import UNSET

from streamer.call import status_of
from streamer.errors import CallFailed, category_of
from streamer.results import Attempt, Failure, Result, Status
from streamer.scope import Step

LONGEST_MESSAGE = 4_000
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
    finished = step.finished if step.finished is not None else scope.loop.time()
    task = step.task
    answered = step.answered
    attempts = tuple(step.attempts) if step.calls is None and step.attempts else tuple(made(step))
    usage = cost = None
    children: Any = UNSET
    if step.combines:
        children = children_of(step, value, received)
        for child in children.values() if isinstance(children, dict) else children:
            usage = add(usage, child.usage)
            cost = add(cost, child.cost)
    for attempt in attempts:
        usage = add(usage, attempt.usage)
        cost = add(cost, attempt.cost)
    epoch = scope.epoch
    provider, model, finish_reason, degraded = answered or (None, None, None, False)
    return Result(
        task_id=task_id or scope.task_id + step.path,
        kind=kind or step.kind or "function",
        status=status_of(error) if step.skipped is None else Status.SKIPPED,
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
        children=children,
    )


def children_of(step: Step, value: Any, received: float) -> tuple[Result, ...] | dict[str, Result]:
    """The children's results in the task's shape."""
    results = {
        key: child_result(step, key, child, value, received) for key, child in (step.children or {}).items()
    }
    return {str(key): result for key, result in results.items()} if step.named else tuple(results.values())


def child_result(parent: Step, key: int | str, child: Step, value: Any, received: float) -> Result:
    """A child's result, without the value that its parent's holds at the same place."""
    error = child.error
    if child.skipped is not None:
        error = CallFailed("dependency_failed", child.skipped)
    elif child.finished is None:
        error = CallFailed("cancelled", "It had not ended when the grace was over.")
    began = child.started if child.started is not None else parent.started
    result = result_of(child, value=child.value, error=error, received=began or received)
    if child.finished is None and child.skipped is None:
        return replaced(result, status=Status.CANCELLED)
    if result.status is Status.SUCCEEDED and held(parent, key, value):
        return replaced(result, value=UNSET)
    return result


def held(parent: Step, key: int | str, value: Any) -> bool:
    """Whether the parent's value holds the child's: the winner's, or an element of all children's values."""
    if parent.winner is not None:
        return key == parent.winner
    keys = parent.children or {}
    if parent.named:
        return isinstance(value, dict) and value.keys() == keys.keys()
    return isinstance(value, list) and len(value) == len(keys)


def replaced(result: Result, **changes: Any) -> Result:
    from msgspec.structs import replace

    return replace(result, **changes)


def failure(error: BaseException) -> Failure:
    """What of an exception travels; the exception itself stays with it in this process."""
    cause = error.__cause__ if isinstance(error, CallFailed) and type(error) is CallFailed else None
    original = cause or error
    text = str(error)
    made = Failure(
        category=category_of(error),
        type=type(original).__name__,
        message=(text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + " …")
        or type(original).__name__,
        provider=getattr(error, "provider", None),
        http_status=getattr(error, "http_status", None),
    )
    made.__dict__["exception"] = original
    return made


def made(step: Step) -> Iterator[Attempt]:
    """A step's own attempts and those of the calls that its function made, in the order they began."""
    found = list(step.attempts or ())
    for call in step.calls or ():
        found.extend(made(call))
        if call.combines:
            for child in (call.children or {}).values():
                found.extend(everything(child))
    found.sort(key=lambda attempt: attempt.started_at)
    return iter(found)


def everything(step: Step) -> Iterator[Attempt]:
    """Every attempt below a step."""
    yield from made(step)
    if step.combines:
        for child in (step.children or {}).values():
            yield from everything(child)


def add(one: Any, other: Any) -> Any:
    """The sum of what may be unknown."""
    if one is None:
        return other
    return one if other is None else one + other
