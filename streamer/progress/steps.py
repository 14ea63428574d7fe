"""What the steps of a running task say of themselves, to whoever looks."""

from __future__ import annotations

from collections.abc import Iterator

from streamer.call import status_of
from streamer.errors import category_of
from streamer.outcomes import child_error
from streamer.progress.snapshot import State
from streamer.step import Step


def state_of(step: Step, root: bool = False) -> State:
    """How it stands. The first step of a task (``root``) has ended when the task has."""
    if root:
        if step.status is not None:
            return State(step.status.value)
        return State.CANCELLED if step.scope.closed else State.RUNNING
    if step.started is None:
        return State.WAITING if step.skipped is None else State.SKIPPED
    if step.finished is None:
        return State.RUNNING
    return State(status_of(child_error(step) if step.error is not None else None, step).value)


def below(step: Step) -> Iterator[tuple[int | str | tuple[str, int], Step]]:
    """Its children with their keys, and the calls that its function makes."""
    if step.combines and step.children is not None:
        yield from step.children.items()
    for number, call in enumerate(step.calls or ()):
        yield ("call", number), call


def name_of(key: int | str | tuple[str, int], step: Step) -> str:
    """What to call it: a child by its name or index."""
    task = step.task
    what = step.tag or (task.tag if task is not None else None)
    if what is None:
        what = getattr(task, "model", None) or getattr(task, "name", None) or asked(step)
    return f"{key} {what}" if isinstance(key, int) else what


def asked(step: Step) -> str:
    """Whom it calls, or called last; of what makes no call of its own its kind."""
    call = step.calling
    if call is not None:
        who = call.name, call.model
    elif step.attempts:
        who = step.attempts[-1].provider, step.attempts[-1].model
    else:
        return step.kind or "function"
    return ":".join(part for part in who if part)


def doing(step: Step) -> str:
    """In a few words what it waits for, or why it did not succeed."""
    if step.skipped is not None:
        return step.skipped
    if step.finished is not None:
        return "" if step.error is None else category_of(step.error).value
    made = len(step.attempts or ())
    if step.resumes is not None:
        return f"attempt {made + 1} in {max(0.0, step.resumes - step.scope.loop.time()):.0f} s"
    if step.calling is not None and step.asked is None:
        return f"waits for a slot of {step.calling.name}"
    return f"attempt {made + 1}" if made and step.calling is not None else ""
