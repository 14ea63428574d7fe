"""One after another, all of them."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from streamer.errors import ChildrenFailed, Skipped
from streamer.operand import as_single
from streamer.operators.policy import CONTINUE, STOP, Policy, on_error_policy
from streamer.operators.telling import Callback, Callbacks
from streamer.scope import not_cancelled
from streamer.single import Operand, Single
from streamer.step import Step


def sequence(
    *tasks: Operand,
    on_error: str | Callback | None = None,
    fail_fast: bool | None = None,
    pass_result: bool = False,
    on_progress: Callback | None = None,
    on_complete: Callback | None = None,
) -> Single[Any]:
    """Run them in order, one at a time; the value is the list of their values.

    ``on_error="stop"`` (the default) begins nothing after a failure, ``"continue"`` goes on; either way a failure
    makes :class:`ChildrenFailed`, whose ``value`` holds what was finished. ``pass_result`` hands the previous answer
    to the next: to a model call as one assistant message before its last user message, None excepted; a function
    with a parameter is called with it. Without tasks: empty.

    ``on_complete(value, index)`` and ``on_progress(done, total)`` are told of each child as those of ``parallel``
    are; so is ``on_error`` where it is a function, and then ``fail_fast`` says whether to stop (True).
    """
    policy, told = chosen(on_error, fail_fast)
    callbacks = Callbacks(on_progress, on_complete, told)
    if not isinstance(pass_result, bool):
        raise ValueError(f"pass_result is True or False, not {pass_result!r}.")
    singles = [as_single(task) for task in tasks]
    total = len(singles)

    async def run(step: Step) -> list[Any]:
        step.combines = True
        steps = [step.child(index, single) for index, single in enumerate(singles)]
        values: list[Any] = [None] * total
        step.value = values  # what was finished, should a clock end it
        failures: dict[int | str, Exception] = {}
        previous: Any = UNSET
        for index, single in enumerate(singles):
            child = steps[index]
            if policy.stops(len(failures), total):
                child.skipped = "A step before it failed."
                failures[index] = Skipped(child.skipped)
            else:
                try:
                    asked = single.given(previous) if pass_result and previous is not UNSET else single
                except Exception as error:  # an answer that can't be put as a message
                    child.refuse(error)
                    failures[index] = error
                else:
                    try:
                        previous = values[index] = await child.run(asked)
                    except Exception as error:
                        failures[index] = error
                    not_cancelled()
            if callbacks.wanted:
                if index in failures:
                    await callbacks.failed(failures[index], index, index + 1, total)
                else:
                    await callbacks.completed(values[index], index, index + 1, total)
        if not policy.satisfied(total - len(failures), total):
            raise ChildrenFailed("sequence", failures, total, values)
        return values

    return Single(
        run,
        "sequence",
        given=lambda previous: sequence(
            *(single.given(previous) if index == 0 else single for index, single in enumerate(singles)),
            on_error=on_error,
            fail_fast=fail_fast,
            pass_result=pass_result,
            on_progress=on_progress,
            on_complete=on_complete,
        ),
    )


def chosen(on_error: str | Callback | None, fail_fast: bool | None) -> tuple[Policy, Callback | None]:
    """What ``on_error`` says, or who is told of errors; the two say how to go on in one way only."""
    if fail_fast is not None and not isinstance(fail_fast, bool):
        raise ValueError(f"fail_fast is True or False, not {fail_fast!r}.")
    if not isinstance(on_error, str):
        return CONTINUE if fail_fast is False else STOP, on_error
    if fail_fast is not None:
        raise ValueError(
            f"on_error={on_error!r} and fail_fast={fail_fast!r} both say how to go on; give one."
        )
    return on_error_policy(on_error), None
