"""At most so many at once, whoever they are."""

from __future__ import annotations

from typing import Any

from streamer.limits import Hold, Limit, depart, held, within
from streamer.operand import as_single
from streamer.operators.retry import Operator
from streamer.single import Operand, Single
from streamer.step import Step


def limited(limit: Limit) -> Operator:
    """Hold a slot of a :class:`Limit` around it, whatever it is; all who share the limit take part.

    A back-off inside holds none. What runs inside and asks for the same limit, a call of a provider that has it
    say, shares the slot, one at a time. Who nests different limits nests them everywhere in the same order.
    """
    if not isinstance(limit, Limit):
        raise ValueError(f"limited: takes a Limit, such as Limit(5, name='gpu'), not {limit!r}.")

    def operator(source: Operand) -> Single[Any]:
        single = as_single(source)

        async def run(step: Step) -> Any:
            scope = step.scope
            around = held.get() if scope.holds else None
            hold = Hold(limit, around or scope, within(limit, around, scope), step.priority)
            await hold.take()
            scope.holds = True
            token = held.set(hold)
            try:
                return await single.at(step)
            finally:
                depart(token)
                hold.leave()

        return single.like(run, operator)

    return operator
