"""One after another, all of them."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.errors import ChildrenFailed, Skipped
from streamer.operand import as_single
from streamer.scope import own_cancellation
from streamer.single import Operand, Single
from streamer.step import Step


def sequence(*tasks: Operand, on_error: str = "stop", pass_result: bool = False) -> Single[Any]:
    """Run them in order, one at a time; the value is the list of their values.

    ``on_error="stop"`` begins nothing after a failure, ``"continue"`` goes on; either way a failure makes
    :class:`ChildrenFailed`, whose ``value`` holds what was finished. ``pass_result`` hands the previous answer to
    the next model call, as one assistant message before its last user message. Without tasks: empty.
    """
    if on_error not in ("stop", "continue"):
        raise ValueError(f"on_error is 'stop' or 'continue', not {on_error!r}.")
    singles = [as_single(task) for task in tasks]

    async def run(step: Step) -> list[Any]:
        step.combines = True
        steps = [step.child(index, single) for index, single in enumerate(singles)]
        values: list[Any] = [None] * len(singles)
        step.value = values  # what was finished, should a clock end it
        failures: dict[int | str, Exception] = {}
        previous: Any = None
        for index, single in enumerate(singles):
            child = steps[index]
            if failures and on_error == "stop":
                child.skipped = "A step before it failed."
                failures[index] = Skipped(child.skipped)
                continue
            try:
                told = single.given(previous) if pass_result and previous is not None else single
            except Exception as error:  # an answer that can't be put as a message
                child.refuse(error)
                failures[index] = error
                continue
            try:
                previous = values[index] = await child.run(told)
            except Exception as error:
                failures[index] = error
            if own_cancellation():  # which its code swallowed
                raise asyncio.CancelledError
        if failures:
            raise ChildrenFailed("sequence", failures, len(singles), values)
        return values

    return Single(
        run,
        "sequence",
        given=lambda previous: sequence(
            *(single.given(previous) if index == 0 else single for index, single in enumerate(singles)),
            on_error=on_error,
            pass_result=pass_result,
        ),
    )
