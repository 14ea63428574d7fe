"""What operators take, as Singles: Singles, tasks, and callables of any sort."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from inspect import Parameter, isawaitable, iscoroutine, signature
from types import CoroutineType, FunctionType, GeneratorType
from typing import Any, TypeVar, cast

from reactivex import Observable

from streamer.blocking import called
from streamer.limits import held
from streamer.single import Operand, Run, Single
from streamer.step import Step, current, restore
from streamer.tasks import Function, Llm, TaskBase

T = TypeVar("T")
CALLS = (Single, TaskBase)
PLAIN = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict})
"""What functions mostly return: nothing to call or to wait for, which would take longer to find out."""
VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
NOT_PLAIN = "A plain Observable can emit any number of values; single(observable) makes a Single of one."


def as_single(operand: Operand) -> Single[Any]:
    """Make a Single of what operators take."""
    if type(operand) is FunctionType:  # which the rest would take long to find out
        return Called(operand)
    if isinstance(operand, Single):
        return operand
    if isinstance(operand, TaskBase):
        return Compiled(operand)
    if isinstance(operand, Observable):
        raise TypeError(NOT_PLAIN)
    if isawaitable(operand):
        if iscoroutine(operand):
            operand.close()
        raise TypeError(
            "An awaitable runs once, so it can be neither retried nor started late; pass the function instead."
        )
    if callable(operand):
        return Called(operand)
    raise TypeError(
        f"Expected a Single, a Task or a callable, not {type(operand).__name__}{remedy(operand)}."
    )


def remedy(operand: Any) -> str:
    """What somebody most likely meant who gave several at once."""
    if isinstance(operand, Mapping) and "kind" in operand:
        return "; a task as JSON is decoded by streamer.decoding.Decoder().decode(data)"
    if isinstance(operand, Mapping):
        return "; a mapping of names stands alone, and in parallel: parallel({...})"
    if isinstance(operand, Iterable) and not isinstance(operand, str | bytes):
        return "; several are given one by one: parallel(*tasks), race(*tasks)"
    return ""


class Compiled(Single[Any]):
    """A task as a Single: what it means is the engine's to say, when it runs."""

    def __init__(self, task: TaskBase, previous: Any = None) -> None:
        super().__init__(kind=str(type(task).__struct_config__.tag))
        self.task = task
        self.previous = previous

    @property
    def asks(self) -> str:
        task = self.task
        named = task.model if isinstance(task, Llm) else task.name if isinstance(task, Function) else None
        return named or self.kind

    def given(self, previous: Any) -> Single[Any]:
        return Compiled(cast("TaskBase", self.task), previous)

    async def at(self, step: Step) -> Any:
        """Ask the scope's engine, else the default one."""
        compiler = step.scope.compile
        if compiler is None:
            from streamer.engine import default_engine

            compiler = default_engine().compile
        assert self.task is not None
        single = compiler(self.task)
        if self.previous is not None:
            single = single.given(self.previous)
        return await single.at(step)


class Called(Single[Any]):
    """A function to call: when it begins once more, its calls are the same calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def given(self, previous: Any) -> Single[Any]:
        return Told(self.function, previous) if takes_one(self.function) else self

    def at(self, step: Step) -> Coroutine[Any, Any, Any]:
        step.again()
        return call_function(step, self.function)


class Told(Single[Any]):
    """A function to call with the previous answer."""

    def __init__(self, function: Callable[..., Any], previous: Any) -> None:
        self.function = function
        self.previous = previous

    def at(self, step: Step) -> Coroutine[Any, Any, Any]:
        step.again()
        return call_function(step, self.function, self.previous)


def misfit(function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    """Why it can't be called with these arguments, if so."""
    try:
        signature(function).bind(*args, **named)
    except TypeError as error:
        return str(error)
    except ValueError:  # of some builtins nobody knows
        pass
    return None


def takes_one(function: Callable[..., Any]) -> bool:
    """Whether it has exactly one parameter that it can't do without, and that has a place."""
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p.kind for p in parameters if p.default is p.empty and p.kind not in VARIADIC]
    return len(needed) == 1 and needed[0] is not Parameter.KEYWORD_ONLY


def again(run: Run[T]) -> Run[T]:
    """A function's run: when it begins once more, its calls are the same calls."""

    def begin(step: Step) -> Coroutine[Any, Any, T]:
        step.again()
        return run(step)

    return begin


async def call_function(step: Step, function: Callable[..., Any], *args: Any) -> Any:
    """Call user code with this step as the current one, and see what it returned through to its value."""
    if step.scope.lent:
        await step.scope.reclaim()
    token = current.set(step)
    try:
        value = called(step.scope.now, function, *args)
        if type(value) is CoroutineType:  # what it mostly is, and what it comes to
            value = await work(step, value)
        return value if type(value) in PLAIN else await resolve(step, value)
    finally:
        restore(token)


async def resolve(step: Step, value: Any) -> Any:
    """What a function returned, seen through: what it works at, and the call that it may end in."""
    value = await settle(step, value)
    if type(value) in PLAIN or not isinstance(value, CALLS):
        return value
    return await step.call().run(as_single(value))


async def settle(step: Step, value: Any) -> Any:
    """Await an awaitable, gather an async iterator, as this step's work, down to a value, a Single or a Task."""
    while type(value) not in PLAIN:
        if type(value) is CoroutineType:
            value = await work(step, value)
        elif isinstance(value, CALLS):
            break
        elif isinstance(value, Observable):  # which can be awaited, too: for the last of its values
            raise TypeError(NOT_PLAIN)
        elif isawaitable(value):
            value = await work(step, value)
        elif isinstance(value, AsyncIterator):
            value = await work(step, gathered(value))
        elif type(value) is GeneratorType:
            value = collected(value)
        else:
            break
    return value


async def work(step: Step, awaitable: Any) -> Any:
    """Await it as work, which holds the run slot but while it waits for calls of its own."""
    scope = step.scope
    hold = held.get() if scope.holds else None
    if hold is not None and not hold.join():
        try:
            await hold.begin()
        except BaseException:
            if iscoroutine(awaitable):
                awaitable.close()
            raise
    scope.active += 1  # the slot is in hand: whoever called the function has seen to it, or the hold has
    step.working += 1
    try:
        return await awaitable
    finally:
        step.working -= 1
        scope.end()
        if hold is not None:
            hold.end()


async def listed(items: AsyncIterator[Any]) -> list[Any]:
    """All that an async iterator yields; it is closed however this ends."""
    found: list[Any] = []
    try:
        async for item in items:
            found.append(item)  # noqa: PERF401 - the iterator must be closed here, not by the collector
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
    return found


async def gathered(items: AsyncIterator[Any]) -> Any:
    """The same as one value: text joined, else the list."""
    return as_one(await listed(items))


def collected(value: Any) -> Any:
    """All that a generator yields, as it is gathered from an async one; anything else as it is."""
    return as_one(list(value)) if type(value) is GeneratorType else value


def as_one(parts: list[Any]) -> Any:
    """Texts joined, else the list."""
    return "".join(parts) if parts and all(isinstance(part, str) for part in parts) else parts
