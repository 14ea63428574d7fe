"""Follows a running task: what its steps say of themselves, to whoever looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from streamer.call import status_of
from streamer.errors import category_of
from streamer.outcomes import child_error
from streamer.progress.snapshot import State
from streamer.settled import family
from streamer.step import Step

if TYPE_CHECKING:
    from streamer.progress.node import Key, Node


def follow(node: Node, step: Step, ahead: float, weights: Mapping[str, float], root: bool = False) -> None:
    """Bring a node, and all below it, as far as a step is, whose clock is so many seconds ahead of its own."""
    if node.over:
        return
    if step.total is not None:
        node.total = step.total
    node.endless = step.endless
    if node.endless:
        node.done = step.dropped
        for key in node.nodes.keys() - (step.children or {}).keys():
            del node.nodes[key]
    for key, child in below(step):
        known = node.nodes.get(key)
        if known is not None and known.finished is not None and known.since == child.started:
            continue
        if known is None or known.since not in (None, child.started):  # it is run anew
            known = node.grow(key, "", weight=weights.get(child.path, 1.0))
        known.name, known.since = name_of(key, child), child.started
        follow(known, child, ahead, weights)
    node.message = doing(step)
    state = state_of(step, root=root)
    if step.started is not None and state is not State.WAITING:
        node.begin(step.started - ahead)
    if state.over:
        node.end(state, node.clock() if step.finished is None else step.finished - ahead)


def state_of(step: Step, root: bool = False) -> State:
    """How it stands. The first step of a task (``root``) has ended when the task has."""
    if root:
        if step.status is not None:
            return State(step.status.value)
        return State.CANCELLED if step.scope.closed else State.RUNNING
    if step.started is None:
        return State.WAITING if step.skipped is None else State.SKIPPED
    if step.finished is None and not step.scope.closed:
        return State.RUNNING
    failed = (
        step.finished is None or step.error is not None
    )  # what outlives its task is told of as in the result
    return State(status_of(child_error(step) if failed else None, step).value)


def below(step: Step) -> Iterator[tuple[Key, Step]]:
    """Its children with their keys, and the calls that its function makes."""
    if step.combines:
        yield from family(step).items()
    for number, call in enumerate(step.calls or ()):
        yield ("call", number), call


def name_of(key: Key, step: Step) -> str:
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
        return f"attempt {made + 1} in {max(0.0, step.resumes - step.scope.now()):.0f} s"
    if step.calling is not None and step.asked is None:
        return f"waits for a slot of {step.calling.name}"
    return f"attempt {made + 1}" if made and step.calling is not None else ""
