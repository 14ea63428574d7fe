"""The Single: an Observable of one value around a coroutine function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from functools import cached_property
from threading import RLock
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import uuid4

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from streamer.errors import Cancelled
from streamer.scope import Scope, not_cancelled, own_cancellation
from streamer.step import Step, current
from streamer.tasks import Retry, TaskBase

if TYPE_CHECKING:
    from streamer.results import Result
    from streamer.tasks import Timeouts

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
    at: Run[T]
    """What it does at a step."""
    around: Single[Any] | None = None
    """What it stands around, at the same step."""
    retries: Retry | None = None
    """How it is retried unless a ``retry`` is put around it, for one that knows."""
    _subscribe = None
    _given: Callable[[Any], Single[T]] | None = None

    def __init__(
        self,
        run: Run[T] | None = None,
        kind: str = "function",
        *,
        given: Callable[[Any], Single[T]] | None = None,
        context_window: int | None = None,
    ) -> None:
        # without Observable's own, which makes a lock for each; see ``lock``
        if run is not None:
            self.at = run
        self.kind = kind
        self.context_window = context_window
        self._given = given

    @cached_property
    def lock(self) -> Any:  # type: ignore[override]
        """What RxPY's operators would synchronise on."""
        return RLock()

    @property
    def asks(self) -> str:
        """Whom it asks, as far as it is known: those that ask the same take about as long."""
        return self.kind if self.around is None else self.around.asks

    def given(self, previous: Any) -> Single[T]:
        """The same, told of the previous answer of a sequence; itself where there is no model to tell."""
        return self if self._given is None else self._given(previous)

    def bounded(self, clocks: Timeouts) -> Single[T] | None:
        """The same with clocks on its attempt, for a Single that has them; a ValueError says which it has not."""
        del clocks
        return None

    def __await__(self) -> Generator[Any, Any, T]:
        return self.started().__await__()

    async def started(self) -> T:
        """Run it: as a call of the task that runs now, else in a scope of its own."""
        step = current.get()
        if step is not None and step.scope.loop is asyncio.get_running_loop():
            return await step.make(self)
        scope = Scope((self.task.id if self.task is not None else None) or str(uuid4()))
        try:
            return await Step(scope).run(self)
        finally:
            if scope.tasks:
                await scope.close()

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

        step = current.get()
        if step is not None and step.scope.loop is loop:
            task = step.start(emit())
        else:
            task = loop.create_task(emit())
        task.add_done_callback(ended)

        def dispose() -> None:
            task.cancel()

        return Disposable(dispose)

    def result(self) -> Single[Result]:
        """What comes of it, as a Result: this one never errors."""
        from streamer.outcomes import result_of

        async def run(step: Step) -> Result:
            received = step.scope.now()
            with suppress(Exception):  # the step remembers
                await step.run(self)
            return result_of(step, value=step.value, error=step.error, received=received)

        return self.like(run, lambda single: single.result())

    # --- the fluent names; see streamer.operators

    def map(self, mapper: Callable[[T], U]) -> Single[U]:
        """Apply a function to the value; what it raises is the failure."""

        async def run(step: Step) -> U:
            value = await self.at(step)
            not_cancelled()
            return mapper(value)

        return self.like(run, lambda single: single.map(mapper))

    def flat_map(self, mapper: Callable[[T], Operand]) -> Single[Any]:  # type: ignore[override]
        """Apply a function that returns a Single, a Task or an awaitable, and run that."""
        from streamer.operand import again, as_single

        async def run(step: Step) -> Any:
            # two calls of one task: the second is ~2 wherever it is journaled
            value = await step.call().run(self)
            not_cancelled()
            return await step.call().run(as_single(lambda: mapper(value)))

        return Single(again(run), "function", given=lambda previous: self.given(previous).flat_map(mapper))

    def timeout(self, seconds: float | None = None, **clocks: float) -> Single[T]:  # type: ignore[override]
        """See :func:`streamer.timeout`."""
        from streamer.operators import timeout

        return timeout(seconds, **clocks)(self)

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
        single.around = self
        return single
