"""Every attempt below a step, and what they cost together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streamer.results import Attempt
from streamer.step import Step


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


def below(step: Step) -> list[Attempt]:
    """The same, however deep they nest; in the order they began."""
    found: list[Attempt] = []
    steps = [step]
    while steps:
        each = steps.pop()
        found.extend(each.attempts or ())
        steps.extend(each.calls or ())
        steps.extend((each.children or {}).values())
    return sorted(found, key=lambda attempt: attempt.started_at)


def add(one: Any, other: Any) -> Any:
    """The sum of what may be unknown."""
    if one is None:
        return other
    return one if other is None else one + other


def let_go(step: Step, key: int | str) -> None:
    """Forget a child that has ended, but for what it cost."""
    children = step.children
    assert children is not None
    child = children.pop(key)
    step.dropped += 1
    if not (child.attempts or child.calls or child.children or child.most):
        return
    step.most = max(step.most, highest(child))
    usage, cost = step.let_go
    for attempt in everything(child):
        usage, cost = add(usage, attempt.usage), add(cost, attempt.cost)
    below = gone(child)
    step.let_go = add(usage, below[0]), add(cost, below[1])


def highest(step: Step) -> int:
    """The highest number that an attempt has at a step or below it."""
    most = step.most
    if step.attempts:
        most = max(most, int(step.attempts[-1].id.rpartition("#")[2]))
    for below in (*(step.children or {}).values(), *(step.calls or ())):
        most = max(most, highest(below))
    return most


def gone(step: Step, own: bool = True) -> tuple[Any, Any]:
    """What was paid for by children that were let go: a step's own, its calls', and with ``own`` its children's."""
    usage, cost = step.let_go
    below = list(step.calls or ())
    if own and step.combines:
        below.extend((step.children or {}).values())
    for child in below:
        more = gone(child)
        usage, cost = add(usage, more[0]), add(cost, more[1])
    return usage, cost
