"""Not after an instant."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from streamer.errors import Category, TimedOut
from streamer.operators.retry import Operator
from streamer.scope import Step
from streamer.single import Operand, Single, as_single


def deadline(instant: datetime) -> Operator:
    """End it with :class:`TimedOut`, category ``deadline``, at an instant with an offset from UTC.

    When the instant has passed before it begins, nothing is called. It has no clock of its own for queueing or
    retries: it bounds everything.
    """
    if instant.tzinfo is None:
        raise ValueError("deadline: an instant needs an offset from UTC.")
    at = instant.timestamp()

    def operator(source: Operand) -> Single[Any]:
        single = as_single(source)

        async def run(step: Step) -> Any:
            scope = step.scope
            left = at - scope.epoch - scope.loop.time()
            error = TimedOut("The deadline has passed.", Category.DEADLINE)
            if left <= 0:
                raise error
            return await scope.bounded(single.at(step), left, error)

        return single.like(run, operator)

    return operator
