"""At most so long."""

from __future__ import annotations

from typing import Any

import msgspec

from streamer.errors import TimedOut
from streamer.operand import as_single
from streamer.operators.retry import Operator
from streamer.single import Operand, Single
from streamer.step import Step
from streamer.tasks import Seconds


def timeout(seconds: float) -> Operator:
    """End it with :class:`TimedOut` after so many seconds.

    On a call of a provider or a function it is the attempt's clock: the wait for a slot is excluded, and behind
    it a ``retry`` gives every attempt its own. On anything else it bounds the whole run. What it ends is cancelled
    and awaited within the grace.
    """
    try:
        msgspec.convert(seconds, Seconds)
    except msgspec.ValidationError as error:
        raise ValueError(f"timeout: {error}, not {seconds!r}; in seconds.") from error

    def operator(source: Operand) -> Single[Any]:
        single = as_single(source)
        clocked = single.bounded(seconds)
        if clocked is not None:
            return clocked

        async def run(step: Step) -> Any:
            error = TimedOut(f"No answer within {seconds:g} s.")
            return await step.scope.bounded(single.at(step), seconds, error)

        return single.like(run, operator)

    return operator
