"""One after another, all of them."""

from __future__ import annotations

from typing import Any

from streamer.errors import ChildrenFailed, Skipped
from streamer.scope import Step
from streamer.single import Operand, Single, as_single


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
        values: list[Any] = []
        failures: dict[int | str, Exception] = {}
        previous: Any = None
        for index, single in enumerate(singles):
            child = step.child(index)
            if failures and on_error == "stop":
                why = "A step before it failed."
                child.skip(single, why)
                failures[index] = Skipped(why)
                values.append(None)
                continue
            told = single.given(previous) if pass_result and previous is not None else single
            try:
                previous = await child.run(told)
                values.append(previous)
            except Exception as error:
                failures[index] = error
                values.append(None)
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
