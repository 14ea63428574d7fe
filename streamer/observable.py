"""The way in for plain Observables: a Single of exactly one value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import get_ident
from typing import Any, TypeVar

from reactivex import Observable
from reactivex.scheduler.eventloop import AsyncIOScheduler

from streamer.errors import CallFailed, Cancelled, Category, StreamerError
from streamer.operand import again, as_single, work
from streamer.single import Operand, Single
from streamer.step import Step, current

T = TypeVar("T")


def single(observable: Observable[T] | Operand) -> Single[T]:
    """Make a Single of an Observable that emits exactly one value; none, or a second one, is an error.

    It is subscribed to on the running loop's scheduler; cancelling disposes of the subscription. Singles in it are
    calls of this one. What else operators take, a Task or a callable, is a Single as well: ``await single(llm("..."))``.
    """
    if isinstance(observable, Single) or not isinstance(observable, Observable):
        return as_single(observable)

    async def run(step: Step) -> T:
        scope = step.scope
        if scope.lent:
            await scope.reclaim()
        only = Only(scope.loop)
        scheduler = AsyncIOScheduler(scope.loop)
        token = current.set(step)
        try:
            subscription = observable.subscribe(
                only.on_next, only.on_error, only.on_completed, scheduler=scheduler
            )
        finally:
            current.reset(token)
        try:
            value: T = await work(step, only.future)
        finally:
            subscription.dispose()
            only.close()
            if step.subscribed:
                await scope.outlast(set(step.subscribed))
        return value

    return Single(again(run))


class Only:
    """Waits for the one value; it may come from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.thread = get_ident()
        self.future: asyncio.Future[Any] = loop.create_future()
        self.found: list[Any] = []

    def on_next(self, value: Any) -> None:
        self.found.append(value)
        if len(self.found) > 1:
            self.fail(CallFailed(Category.INVALID_RESPONSE, "The Observable emitted a second value."))

    def on_error(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            error = Cancelled(str(error) or "The Observable was cancelled.")
        elif not isinstance(error, Exception) or isinstance(error, StopIteration):
            error = StreamerError(repr(error))  # a future refuses a StopIteration
        self.fail(error)

    def on_completed(self) -> None:
        if self.found:
            self.tell(self.future.set_result, self.found[0])
        else:
            self.fail(CallFailed(Category.INVALID_RESPONSE, "The Observable emitted no value."))

    def close(self) -> None:
        """Nobody waits for it any more; that it failed is no error of anybody's."""
        if not self.future.cancel() and not self.future.cancelled():
            self.future.exception()

    def fail(self, error: BaseException) -> None:
        self.tell(self.future.set_exception, error)

    def tell(self, act: Callable[[Any], object], what: Any) -> None:
        def once() -> None:
            if not self.future.done():
                act(what)

        if get_ident() == self.thread:
            once()
        else:
            self.loop.call_soon_threadsafe(once)
