"""All of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamer.operand import as_single
from streamer.operators.policy import Policy
from streamer.operators.telling import Callback, Callbacks
from streamer.operators.together import Plan, Together
from streamer.single import Operand, Single
from streamer.step import Step


def parallel(
    *tasks: Operand | Mapping[str, Operand],
    concurrency: int | None = None,
    fail_fast: bool = False,
    require: str | int = "all",
    reduce: str | None = None,
    on_progress: Callback | None = None,
    on_complete: Callback | None = None,
    on_error: Callback | None = None,
) -> Single[Any]:
    """Run them at once; the value is a list in input order, or of a mapping the same names.

    ``concurrency`` is at most how many run at a time (100). ``require`` says how many must succeed: ``"all"``,
    ``"any"``, ``"none"`` or a number; else :class:`ChildrenFailed`, whose ``value`` holds what was finished, None
    for the rest. One failure leaves the others alone, or with ``fail_fast``, once the requirement can't be met
    any more, cancels what runs (awaited within the grace), keeps what was finished and begins nothing more.
    ``reduce`` makes one value of the successes: ``sum``, ``count``, ``concat`` or ``merge``. Without tasks: empty.

    ``on_complete(value, key)`` or ``on_error(error, key)``, by index or name, and ``on_progress(done, total)`` are
    told of each child once, in turn; sync or async. What they raise changes nothing.
    """
    named = len(tasks) == 1 and isinstance(tasks[0], Mapping)
    given: dict[int | str, Single[Any]] = {}
    for key, task in tasks[0].items() if named else enumerate(tasks):
        if named and not isinstance(key, str):
            raise TypeError(f"The names of parallel tasks are strings, not {key!r}.")
        given[key] = as_single(task)
    plan = Plan(
        "parallel",
        lambda single, _: single,
        total=len(given),
        names=[str(key) for key in given] if named else None,
        concurrency=concurrency,
        policy=Policy(require, fail_fast),
        reduce=reduce,
        callbacks=Callbacks(on_progress, on_complete, on_error),
    )

    async def run(step: Step) -> Any:
        return await Together(plan, step, given.values()).run()

    return Single(
        run,
        "parallel",
        given=lambda previous: parallel(
            *(
                [{k: s.given(previous) for k, s in given.items()}]
                if named
                else [s.given(previous) for s in given.values()]
            ),
            concurrency=concurrency,
            fail_fast=fail_fast,
            require=require,
            reduce=reduce,
            on_progress=on_progress,
            on_complete=on_complete,
            on_error=on_error,
        ),
    )
