"""At most so long."""

from __future__ import annotations

from typing import Any

import msgspec

from streamer.errors import TimedOut
from streamer.operand import as_single
from streamer.operators.retry import Operator
from streamer.single import Operand, Single
from streamer.step import Step
from streamer.tasks import Timeouts


def timeout(
    seconds: float | None = None,
    *,
    queue: float | None = None,
    connect: float | None = None,
    first_token: float | None = None,
    between_tokens: float | None = None,
) -> Operator:
    """End it with :class:`TimedOut` when one of these clocks runs out; all are in seconds, and one at least is given.

    On a call of a provider or a function ``seconds`` is the attempt's clock: the wait for a slot is excluded, and
    behind it a ``retry`` gives every attempt its own. On anything else it bounds the whole run. The others are a
    call's alone. ``queue``: the wait for a slot of its limit. ``connect``: until there is a connection, one that is
    open already included, for providers that have any. ``first_token``: from the attempt's beginning to the first
    piece of the answer; ``between_tokens``: from each piece to the next, and to the end. What a clock ends is
    cancelled, its stream closed, and awaited within the grace.
    """
    said = {
        "attempt": seconds,
        "queue": queue,
        "connect": connect,
        "first_token": first_token,
        "between_tokens": between_tokens,
    }
    given = {name: value for name, value in said.items() if value is not None}
    if not given:
        raise ValueError("timeout: takes seconds, or a clock: queue, connect, first_token, between_tokens.")
    try:
        clocks = msgspec.convert(given, Timeouts)
    except msgspec.ValidationError as error:
        what = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise ValueError(f"timeout: {error}, in {what}; in seconds.") from error

    def operator(source: Operand) -> Single[Any]:
        single = as_single(source)
        clocked = single.bounded(clocks)
        if clocked is not None:
            return clocked
        bound = clocks.attempt
        others = [name for name in given if name != "attempt"]
        if bound is None or others:
            raise ValueError(
                f"timeout: {', '.join(others)} is a clock of a provider's or a function's call; put it on that, "
                "before retry and other operators. An llm task says it itself: timeout={...}."
            )

        async def run(step: Step) -> Any:
            error = TimedOut(f"No answer within {bound:g} s.")
            return await step.scope.bounded(single.at(step), bound, error)

        return single.like(run, operator)

    return operator
