"""Who is told of events: callbacks and an Observable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from inspect import isawaitable

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from streamer.events import Event, Listener

MOST = 1_000


class Telling:
    """Tells listeners and observers of events as they happen; keeps none.

    What one of them raises reaches the loop's exception handler, and nobody else. What an async listener returns is
    awaited beside the work, at most ``MOST`` at a time; events beyond are not told to it, which is reported as well.
    """

    def __init__(self, *listeners: Listener | None) -> None:
        self.listeners = [listener for listener in listeners if listener is not None]
        self.observers: list[abc.ObserverBase[Event]] = []
        self.awaited: set[asyncio.Task[None]] = set()
        self.completed = False
        self.events: Observable[Event] = Observable(self.subscribe)

    def __bool__(self) -> bool:
        return bool(self.listeners or self.observers)

    def tell(self, event: Event) -> None:
        """Tell everybody who listens now; what was left behind goes untold."""
        if self.completed:
            return
        for listener in self.listeners:
            try:
                answer = listener(event)
                if isawaitable(answer):
                    self.see_through(answer)
            except Exception as error:
                report("An event listener raised", error)
        for observer in tuple(self.observers):
            try:
                observer.on_next(event)
            except Exception as error:
                report("An observer of events raised", error)

    def subscribe(
        self, observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        """One more observer, told of what happens from now on."""
        del scheduler  # events happen on the loop
        if self.completed:
            observer.on_completed()
            return Disposable()
        self.observers.append(observer)
        return Disposable(lambda: self.observers.remove(observer) if observer in self.observers else None)

    def complete(self) -> None:
        """Nothing more happens."""
        if self.completed:
            return
        self.completed = True
        observers, self.observers = self.observers, []
        for observer in observers:
            try:
                observer.on_completed()
            except Exception as error:
                report("An observer of events raised", error)

    def see_through(self, answer: Awaitable[object]) -> None:
        """Await what a listener returned."""

        async def wait() -> None:
            try:
                await answer
            except Exception as error:
                report("An event listener raised", error)

        waiting = wait()
        if len(self.awaited) >= MOST:
            waiting.close()
            close = getattr(answer, "close", None)
            if close is not None:
                close()
            raise OverflowError(f"{MOST} events are with this listener already; this one is not told to it.")
        task = asyncio.get_running_loop().create_task(waiting)
        self.awaited.add(task)
        task.add_done_callback(self.awaited.discard)

    async def close(self, grace: float) -> None:
        """Give what listeners still do so many seconds, then cancel it."""
        if self.awaited:
            _, late = await asyncio.wait(set(self.awaited), timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=grace)


def report(message: str, error: Exception) -> None:
    """Callbacks change nothing; their errors are the loop's to show."""
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
