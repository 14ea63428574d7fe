"""All of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamer.errors import CallFailed, Cancelled, ChildrenFailed, Skipped
from streamer.operand import as_single
from streamer.operators.children import Children
from streamer.operators.reduction import REDUCTIONS
from streamer.remembering import joined
from streamer.single import Operand, Single
from streamer.step import Step

CONCURRENCY = 100


def parallel(
    *tasks: Operand | Mapping[str, Operand],
    concurrency: int | None = None,
    fail_fast: bool = False,
    require: str | int = "all",
    reduce: str | None = None,
) -> Single[Any]:
    """Run them at once; the value is a list in input order, or of a mapping the same names.

    ``concurrency`` is at most how many run at a time (100). ``require`` says how many must succeed: ``"all"``,
    ``"any"``, ``"none"`` or a number; else :class:`ChildrenFailed`, whose ``value`` holds what was finished, None
    for the rest. One failure leaves the others alone, or with ``fail_fast``, once the requirement can't be met
    any more, cancels what runs (awaited within the grace), keeps what was finished and begins nothing more.
    ``reduce`` makes one value of the successes: ``sum``, ``count``, ``concat`` or ``merge``. Without tasks: empty.
    """
    named = len(tasks) == 1 and isinstance(tasks[0], Mapping)
    given: dict[int | str, Single[Any]] = {}
    for key, task in tasks[0].items() if named else enumerate(tasks):
        if named and not isinstance(key, str):
            raise TypeError(f"The names of parallel tasks are strings, not {key!r}.")
        given[key] = as_single(task)
    limit = CONCURRENCY if concurrency is None else concurrency
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"concurrency is a whole number of at least 1, not {concurrency!r}.")
    needed = required(require, len(given))
    if reduce is not None and reduce not in REDUCTIONS:
        raise ValueError(f"reduce is one of {', '.join(REDUCTIONS)}, not {reduce!r}.")

    async def run(step: Step) -> Any:
        step.combines, step.named = True, named
        keys = list(given)
        steps = [step.child(key, single) for key, single in given.items()]
        children = Children(step)
        values: dict[int | str, Any] = {}
        failures: dict[int | str, Exception] = {}
        begun = 0

        def note(index: int) -> None:
            try:
                values[keys[index]] = children.outcome(index)
            except Exception as error:
                failures[keys[index]] = error

        try:
            while len(values) + len(failures) < len(keys):
                if fail_fast and len(keys) - len(failures) < needed:
                    break
                while begun < len(keys) and begun - len(values) - len(failures) < limit:
                    children.start(begun, steps[begun], given[keys[begun]])
                    begun += 1
                for index in await children.next():
                    note(index)
        finally:
            try:
                await children.stop()
            finally:
                for index in range(begun):
                    if keys[index] not in values and keys[index] not in failures:
                        note(index)
                step.value = finished(keys, values, named, reduce)
        if step.scope.journal is not None and not fail_fast:
            joined(step.scope, steps)
        for index in range(begun, len(keys)):
            steps[index].skipped = why = "A sibling failed before it began."
            failures[keys[index]] = Skipped(why)
        if len(values) < needed:
            # what stopped the others comes first: siblings that were stopped explain nothing
            ordered = sorted(keys, key=lambda key: isinstance(failures.get(key), Cancelled | Skipped))
            causes = {key: failures[key] for key in ordered if key in failures}
            raise ChildrenFailed("parallel", causes, len(keys), step.value)
        return step.value if reduce is None else shaped(keys, values, named, reduce)

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
        ),
    )


def required(require: str | int, total: int) -> int:
    """How many of ``total`` must succeed."""
    if require == "all":
        return total
    if require == "any":
        return min(1, total)
    if require == "none":
        return 0
    if isinstance(require, bool) or not isinstance(require, int) or require < 0:
        raise ValueError(f"require is 'all', 'any', 'none' or a number of at least 0, not {require!r}.")
    if require > total:
        raise ValueError(f"require is at most the number of tasks, {total}, not {require}.")
    return require


def shaped(keys: list[int | str], values: dict[int | str, Any], named: bool, reduce: str | None) -> Any:
    """The children's values in the task's shape, None where there is none; or the reduced value."""
    if reduce is not None:
        return REDUCTIONS[reduce]([values[key] for key in keys if key in values])
    if named:
        return {key: values.get(key) for key in keys}
    return [values.get(key) for key in keys]


def finished(keys: list[int | str], values: dict[int | str, Any], named: bool, reduce: str | None) -> Any:
    """What there is of the value when not all has succeeded."""
    try:
        return shaped(keys, values, named, reduce)
    except CallFailed:
        return None
