"""All of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streamer.errors import Cancelled, ChildrenFailed, Skipped
from streamer.operators.children import Children
from streamer.operators.reduction import REDUCTIONS
from streamer.scope import Step
from streamer.single import Operand, Single, as_single

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
    given: dict[int | str, Single[Any]] = (
        {key: as_single(task) for key, task in tasks[0].items()}
        if named
        else {index: as_single(task) for index, task in enumerate(tasks)}
    )
    limit = CONCURRENCY if concurrency is None else concurrency
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"concurrency is a whole number of at least 1, not {concurrency!r}.")
    needed = required(require, len(given))
    if reduce is not None and reduce not in REDUCTIONS:
        raise ValueError(f"reduce is one of {', '.join(REDUCTIONS)}, not {reduce!r}.")

    async def run(step: Step) -> Any:
        step.combines, step.named = True, named
        keys = list(given)
        children = Children(step)
        values: dict[int | str, Any] = {}
        failures: dict[int | str, Exception] = {}
        begun = 0
        try:
            while len(values) + len(failures) < len(keys):
                if fail_fast and len(keys) - len(failures) < needed:
                    break
                while begun < len(keys) and begun - len(values) - len(failures) < limit:
                    children.start(begun, step.child(keys[begun]), given[keys[begun]])
                    begun += 1
                for index in await children.next():
                    try:
                        values[keys[index]] = children.outcome(index)
                    except Exception as error:
                        failures[keys[index]] = error
        finally:
            await children.stop()
        for index, key in enumerate(keys):
            if index >= begun:
                why = "A sibling failed before it began."
                step.child(key).skip(given[key], why)
                failures[key] = Skipped(why)
            elif key not in values and key not in failures:
                try:
                    values[key] = children.outcome(index)
                except Exception as error:
                    failures[key] = error
        step.value = value = shaped(keys, values, named, reduce)
        if len(values) < needed:
            ordered = {key: failures[key] for key in keys if key in failures}
            # what stopped the others comes first: siblings that were stopped explain nothing
            causes = sorted(ordered.items(), key=lambda item: isinstance(item[1], Cancelled | Skipped))
            raise ChildrenFailed("parallel", dict(causes), len(keys), value)
        return value

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
    return require


def shaped(keys: list[int | str], values: dict[int | str, Any], named: bool, reduce: str | None) -> Any:
    """The children's values in the task's shape, None where there is none; or the reduced value."""
    if reduce is not None:
        return REDUCTIONS[reduce]([values[key] for key in keys if key in values])
    if named:
        return {key: values.get(key) for key in keys}
    return [values.get(key) for key in keys]
