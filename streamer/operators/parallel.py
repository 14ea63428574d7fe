"""All of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
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
    names: list[str] | None = None
    if named:
        wrong = next((key for key in tasks[0] if not isinstance(key, str)), "")
        if wrong != "":
            raise TypeError(f"The names of parallel tasks are strings, not {wrong!r}.")
        names = list(tasks[0])
    # a function is wrapped when its turn comes, for there may be many
    given = [
        task if type(task) is FunctionType else as_single(task)
        for task in (tasks[0].values() if named else tasks)
    ]
    plan = Plan(
        "parallel",
        lambda task, _: as_single(task),
        total=len(given),
        names=names,
        concurrency=concurrency,
        policy=Policy(require, fail_fast),
        reduce=reduce,
        callbacks=Callbacks(on_progress, on_complete, on_error),
    )

    async def run(step: Step) -> Any:
        return await Together(plan, step, given).run()

    return Single(
        run,
        "parallel",
        given=lambda previous: parallel(
            *(
                [{name: as_single(task).given(previous) for name, task in zip(names, given, strict=True)}]
                if names is not None
                else [as_single(task).given(previous) for task in given]
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
