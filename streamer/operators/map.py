"""A function over items."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Iterator
from inspect import Parameter, signature
from types import CoroutineType
from typing import Any

from reactivex import Observable

from streamer.blocking import called
from streamer.operand import CALLS, PLAIN, as_single, resolve, work
from streamer.operators.policy import Policy
from streamer.operators.reading import Items, Once
from streamer.operators.telling import Callback, Callbacks
from streamer.operators.together import Plan, Together
from streamer.single import Single
from streamer.step import Step, current, restore

POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
Make = Callable[[Any, int], Single[Any]]


def map(  # noqa: A001 - the builtin, for what takes time and may fail
    function: Callable[..., Any],
    items: Items,
    *,
    concurrency: int | None = None,
    batch_size: int | None = None,
    require: str | int = "all",
    fail_fast: bool = False,
    reduce: str | None = None,
    on_progress: Callback | None = None,
    on_complete: Callback | None = None,
    on_error: Callback | None = None,
) -> Single[Any]:
    """Apply a function to every item, many at once; the value is the list of what comes of them, in their order.

    ``function(item)``, or ``function(item, index)`` where it asks for two, returns a Single, a Task, a value or an
    awaitable. At most ``concurrency`` (100) run at a time, the next begins when one has ended; or with
    ``batch_size`` every batch ends before the next begins. ``require``, ``fail_fast``, ``reduce`` and the callbacks
    are those of ``parallel``.

    Items come from an iterable or an async iterable of any length, read only as there is room; generators are
    closed however it ends. Where the length is not known beforehand nothing is kept of a child that has ended but
    its value, and with ``sum`` or ``count`` not even that; then ``total`` of ``on_progress`` is None, and the
    result has no children.
    """
    return mapped(
        applier(function),
        items,
        concurrency=concurrency,
        batch_size=batch_size,
        policy=Policy(require, fail_fast),
        reduce=reduce,
        callbacks=Callbacks(on_progress, on_complete, on_error),
    )


def mapped(make: Make, items: Items | Once, *, callbacks: Callbacks, **settings: Any) -> Single[Any]:
    """The same with what makes a child of an item and its index."""
    if isinstance(items, Iterator | AsyncIterator):
        items = Once(items)
    elif not isinstance(items, Iterable | AsyncIterable | Once) or isinstance(
        items, str | bytes | Observable
    ):
        raise TypeError(f"map: items is a collection, an iterable or an async iterable, not {items!r:.100}.")
    total = len(items) if isinstance(items, Collection) else None
    plan = Plan("map", make, total=total, callbacks=callbacks, **settings)

    async def run(step: Step) -> Any:
        return await Together(plan, step, items.opened() if isinstance(items, Once) else items).run()

    return Single(
        run,
        "map",
        given=lambda previous: mapped(
            lambda item, index: make(item, index).given(previous), items, callbacks=callbacks, **settings
        ),
    )


class Applied(Single[Any]):
    """A function of an item, which runs when the item's turn comes; what it gives to run stands at the same step."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kind: str = "function",
        previous: Any = None,
    ) -> None:
        self.function = function
        self.args = args
        self.kind = kind
        self.previous = previous

    def given(self, previous: Any) -> Single[Any]:
        return Applied(self.function, self.args, self.kind, previous)

    async def at(self, step: Step) -> Any:
        if step.scope.lent:
            await step.scope.reclaim()
        step.again()
        token = current.set(step)
        try:
            value = called(step.scope.now, self.function, *self.args)
            if type(value) is CoroutineType:
                value = await work(step, value)
                return value if type(value) in PLAIN else await resolve(step, value)
            if not isinstance(value, CALLS):
                return await resolve(step, value)
            single = as_single(value)
            if self.previous is not None:
                single = single.given(self.previous)
            step.stands_for(single)
            return await single.at(step)
        finally:
            restore(token)


def applier(function: Callable[..., Any]) -> Make:
    """What makes the children: with the index, where the function asks for it."""
    if isinstance(function, CALLS):
        what = "Single" if isinstance(function, Single) else type(function).__name__
        raise TypeError(
            f"map: function is a function of an item, not a {what}, which would ask the same for each."
        )
    if not callable(function):
        raise TypeError(
            f"map: function is a function of an item, not {function!r:.100}; the function comes first."
        )
    if asks_for_index(function):
        return lambda item, index: Applied(function, (item, index))
    return lambda item, _: Applied(function, (item,))


def asks_for_index(function: Callable[..., Any]) -> bool:
    """Whether it has two parameters that it can't do without, or the second is called ``index``."""
    try:
        parameters = [p for p in signature(function).parameters.values() if p.kind in POSITIONAL]
        takes_any = any(p.kind is Parameter.VAR_POSITIONAL for p in signature(function).parameters.values())
    except ValueError:  # of some builtins nobody knows
        return False
    needed = [p for p in parameters if p.default is Parameter.empty]
    if len(needed) > 2 or not (parameters or takes_any):
        raise TypeError("map: function takes an item, or an item and its index.")
    return len(needed) == 2 or (len(parameters) > 1 and parameters[1].name == "index")
