"""Not after an instant."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from streamer.errors import Category, TimedOut
from streamer.operand import as_single
from streamer.operators.retry import Operator
from streamer.single import Operand, Run, Single
from streamer.step import Step


def deadline(instant: datetime) -> Operator:
    """End it with :class:`TimedOut`, category ``deadline``, at an instant with an offset from UTC.

    It bounds everything below, the waits for slots and between attempts included. When the instant has passed
    before it begins, nothing is called; an earlier one above it holds.
    """
    if instant.tzinfo is None:
        raise ValueError("deadline: an instant needs an offset from UTC.")
    at = instant.timestamp()

    def operator(source: Operand) -> Single[Any]:
        single = as_single(source)

        return single.like(lambda step: until(at, step, single.at), operator)

    return operator


async def until(at: float, step: Step, run: Run[Any]) -> Any:
    """Run it at this step, until then in seconds since the epoch."""
    scope = step.scope
    ours = at - scope.epoch
    if step.deadline is not None and step.deadline <= ours:
        return await run(step)  # whoever set the earlier one sees to it
    step.deadline = ours
    expired = TimedOut("The deadline has passed.", Category.DEADLINE)
    return await scope.bounded(run(step), ours - scope.now(), expired)
