"""The Single: an Observable of one value around a coroutine function."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from inspect import isawaitable
from typing import Any, Generic, TypeVar, cast

from reactivex import Observable, abc
from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOScheduler

from streamer.errors import CallFailed, Cancelled, Category, StreamerError
from streamer.scope import Scope, Step, current, own_cancellation
from streamer.tasks import TaskBase

T = TypeVar("T")
U = TypeVar("U")
Run = Callable[[Step], Coroutine[Any, Any, T]]
Operand = Any  # a Single, a Task, or a callable that returns a value, an awaitable or an async iterator


class Single(Observable[T], Generic[T]):
    """Emits one value and completes, or errors. Nothing runs until it is awaited, subscribed to or combined.

    Every await or subscription runs it anew. Disposing of a subscription cancels what runs. Operators that take
    a Single and give a Single are in :mod:`streamer.operators`; a stock RxPY operator in ``.pipe`` gives a plain
    Observable, outside of the task's guarantees. The fluent names of RxPY that would call again on another
    thread, or before the first call has ended (``timeout``, ``retry``, ``map``, ``catch`` …), are ours here.
    """

    kind = "function"
    task: TaskBase | None = None
    context_window: int | None = None

    def __init__(
        self,
        run: Run[T],
        kind: str = "function",
        *,
        given: Callable[[Any], Single[T]] | None = None,
        context_window: int | None = None,
    ) -> None:
        super().__init__()
        self.at = run
        self.kind = kind
        self.context_window = context_window
        self._given = given

    def given(self, previous: Any) -> Single[T]:
        """The same, told of the previous answer of a sequence; itself where there is no model to tell."""
        return self if self._given is None else self._given(previous)

    def bounded(self, seconds: float) -> Single[T] | None:
        """The same with a clock on its attempt, for a Single that has one."""
        del seconds
        return None

    def __await__(self) -> Generator[Any, Any, T]:
        return self.started().__await__()

    async def started(self) -> T:
        """Run it: as a call of the task that runs now, else in a scope of its own."""
        step = current.get()
        if step is not None:
            return await step.call().run(self)
        scope = Scope("task")
        return await Step(scope).run(self)

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        del scheduler  # a Single lives on the running loop, nowhere else
        loop = asyncio.get_running_loop()

        async def emit() -> None:
            try:
                value = await self.started()
            except asyncio.CancelledError as error:
                if own_cancellation():
                    raise
                observer.on_error(Cancelled(str(error) or "It cancelled itself."))
            except Exception as error:
                observer.on_error(error)
            else:
                observer.on_next(value)
                observer.on_completed()

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                loop.call_exception_handler({"message": "A Single's observer raised", "exception": error})

        task = loop.create_task(emit())
        task.add_done_callback(ended)

        def dispose() -> None:
            task.cancel()

        return Disposable(dispose)

    # --- the fluent names; see streamer.operators

    def map(self, mapper: Callable[[T], U]) -> Single[U]:
        """Apply a function to the value; what it raises is the failure."""

        async def run(step: Step) -> U:
            return mapper(await self.at(step))

        return self.like(run, lambda single: single.map(mapper))

    def flat_map(self, mapper: Callable[[T], Operand]) -> Single[Any]:  # type: ignore[override]
        """Apply a function that returns a Single, a Task or an awaitable, and run that."""

        async def run(step: Step) -> Any:
            # two calls of one task: the second is ~2 wherever it is journaled
            value = await step.call().run(self)
            return await step.call().run(as_single(lambda: mapper(value)))

        return Single(again(run), "function", given=lambda previous: self.given(previous).flat_map(mapper))

    def timeout(self, seconds: float) -> Single[T]:  # type: ignore[override]
        """See :func:`streamer.timeout`."""
        from streamer.operators import timeout

        return timeout(seconds)(self)

    def retry(self, *args: Any, **settings: Any) -> Single[T]:
        """See :func:`streamer.retry`."""
        from streamer.operators import retry

        return retry(*args, **settings)(self)

    def catch(self, *others: Operand) -> Single[Any]:
        """See :func:`streamer.fallback`."""
        from streamer.operators import fallback

        return fallback(self, *others)

    def amb(self, *others: Operand) -> Single[Any]:
        """See :func:`streamer.race`: the first success, where the stock one takes the first event."""
        from streamer.operators import race

        return race(self, *others)

    def like(self, run: Run[U], rebuild: Callable[[Single[Any]], Single[U]]) -> Single[U]:
        """A Single around this one that stands at the same step and shows itself as the same kind."""
        single = Single(
            run,
            self.kind,
            given=lambda previous: rebuild(self.given(previous)),
            context_window=self.context_window,
        )
        single.task = self.task
        return single


def again(run: Run[T]) -> Run[T]:
    """A function's run: when it begins once more, its calls are the same calls."""

    def begin(step: Step) -> Coroutine[Any, Any, T]:
        step.again()
        return run(step)

    return begin


def as_single(operand: Operand) -> Single[Any]:
    """Make a Single of what operators take."""
    if isinstance(operand, Single):
        return operand
    if isinstance(operand, TaskBase):
        return Compiled(operand)
    if isinstance(operand, Observable):
        raise TypeError(
            "A plain Observable can emit any number of values; single(observable) makes a Single of one."
        )
    if isawaitable(operand):
        raise TypeError(
            "An awaitable runs once, so it can be neither retried nor started late; pass the function instead."
        )
    if callable(operand):
        return Single(again(lambda step: call_function(step, operand)))
    raise TypeError(f"Expected a Single, a Task or a callable, not {type(operand).__name__}.")


class Compiled(Single[Any]):
    """A task as a Single: what it means is the engine's to say, when it runs."""

    def __init__(self, task: TaskBase, previous: Any = None) -> None:
        self.previous = previous
        super().__init__(self.answer, str(type(task).__struct_config__.tag))
        self.task = task

    def given(self, previous: Any) -> Single[Any]:
        return Compiled(cast("TaskBase", self.task), previous)

    async def answer(self, step: Step) -> Any:
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


async def call_function(step: Step, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Call user code with this step as the current one, and see what it returned through to its value."""
    token = current.set(step)
    try:
        return await resolve(step, function(*args, **named))
    except asyncio.CancelledError as error:
        if own_cancellation():
            raise
        raise Cancelled(str(error) or "It raised CancelledError itself.") from error
    finally:
        current.reset(token)


async def resolve(step: Step, value: Any) -> Any:
    """A Single or Task runs as a call of this step, an awaitable is awaited, an async iterator gathered."""
    while True:
        if isinstance(value, Single | TaskBase):
            return await step.call().run(as_single(value))
        if isawaitable(value):
            value = await value
        elif isinstance(value, AsyncIterator):
            return await gathered(value)
        else:
            return value


async def gathered(items: AsyncIterator[Any]) -> Any:
    """All that an async iterator yields: text joined, else a list. It is closed however this ends."""
    parts: list[Any] = []
    try:
        async for item in items:
            parts.append(item)  # noqa: PERF401 - the iterator must be closed here, not by the collector
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
    return "".join(parts) if parts and all(isinstance(part, str) for part in parts) else parts


def single(observable: Observable[T]) -> Single[T]:
    """Make a Single of an Observable that emits exactly one value; none, or a second one, is an error.

    It is subscribed to on the running loop's scheduler; cancelling disposes of the subscription.
    """
    if not isinstance(observable, Observable):
        raise TypeError(f"Expected an Observable, not {type(observable).__name__}.")

    async def run(step: Step) -> T:
        loop = step.scope.loop
        future: asyncio.Future[T] = loop.create_future()
        found: list[T] = []

        def on_next(value: T) -> None:
            found.append(value)
            if len(found) == 2 and not future.done():
                future.set_exception(
                    CallFailed(Category.INVALID_RESPONSE, "The Observable emitted a second value.")
                )

        def on_error(error: Exception) -> None:
            if not future.done():
                future.set_exception(error if isinstance(error, Exception) else StreamerError(repr(error)))

        def on_completed() -> None:
            if future.done():
                return
            if found:
                future.set_result(found[0])
            else:
                future.set_exception(
                    CallFailed(Category.INVALID_RESPONSE, "The Observable emitted no value.")
                )

        subscription = observable.subscribe(on_next, on_error, on_completed, scheduler=AsyncIOScheduler(loop))
        try:
            return await future
        finally:
            subscription.dispose()

    return Single(run)
