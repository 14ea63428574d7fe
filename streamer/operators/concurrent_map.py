"""The stream's one operator of our own: a function over items, so many at once, results as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from streamer.limits import Slots

T = TypeVar("T")
U = TypeVar("U")
Items = Observable[T] | Iterable[T] | AsyncIterable[T]


def concurrent_map(
    fn: Callable[[T], Awaitable[U]], limit: int | Slots, bound: int | None = None
) -> Callable[[Items[T]], Observable[U]]:
    """Await ``fn(item)`` for at most ``limit`` items at once and emit the values as they come.

    The source is an Observable, an iterable or an async iterable; of the latter two at most ``limit`` items wait,
    read as there is room. An Observable can't be told to wait: more than ``bound`` waiting items are an
    ``OverflowError``. Completes when the source has and nothing runs, strays included; an empty source completes
    at once. An error of ``fn`` or of the source cancels what runs and is the stream's error. Disposing cancels.
    """

    def operator(source: Items[T]) -> Observable[U]:
        def subscribe(
            observer: abc.ObserverBase[U], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            slots = limit if isinstance(limit, Slots) else Slots(limit)
            pool = Pool(fn, slots, bound, observer)
            if isinstance(source, Observable):
                upstream = source.subscribe(pool.push, pool.fail, pool.end, scheduler=scheduler)
                return CompositeDisposable(upstream, Disposable(pool.stop))
            pool.spawn(pool.pull(source))
            return Disposable(pool.stop)

        return Observable(subscribe)

    return operator


class Pool(Generic[T, U]):
    """Workers that are started on demand, one start at a time, pull until nothing waits, and end.

    Invariants: no item waits while a slot is free and no worker is starting; every item that was begun has ended
    before the stream completes; after an error or a stop nothing is emitted.
    """

    def __init__(
        self, fn: Callable[[T], Awaitable[U]], slots: Slots, bound: int | None, observer: abc.ObserverBase[U]
    ) -> None:
        self.fn = fn
        self.slots = slots
        self.bound = bound
        self.observer = observer
        self.loop = asyncio.get_running_loop()
        self.queue: deque[T] = deque()
        self.tasks: set[asyncio.Task[None]] = set()
        self.room = asyncio.Event()
        self.starting = self.ended = self.stopped = False
        slots.freed = self.more

    def push(self, item: T) -> None:
        """Take an item from an Observable."""
        if self.bound is not None and len(self.queue) >= self.bound:
            self.fail(OverflowError(f"The source overran its bound: {self.bound} items wait already."))
            return
        self.queue.append(item)
        if not self.starting:
            self.more()

    def more(self) -> None:
        """Start another worker if there is work and room; complete if there is neither work nor more to come."""
        if self.queue:
            if not self.starting and not self.stopped and self.slots.active < self.slots.limit:
                self.starting = True
                self.spawn(self.work())
        elif self.ended and not self.tasks and not self.slots.active and not self.stopped:
            self.stopped = True
            self.observer.on_completed()

    def spawn(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.over)

    async def work(self) -> None:
        """Pull items until none waits or no slot is free."""
        self.starting = False
        queue, slots, fn, on_next, room = self.queue, self.slots, self.fn, self.observer.on_next, self.room
        while queue and slots.take():
            item = queue.popleft()
            if not room.is_set():
                room.set()
            if queue:
                self.more()
            try:
                value = await Isolated(fn, item)
            finally:
                if slots.kept:
                    slots.kept = False
                else:
                    slots.give()
            on_next(value)

    async def pull(self, items: Iterable[T] | AsyncIterable[T]) -> None:
        """Read an iterable no faster than its items are begun."""
        if isinstance(items, AsyncIterable):
            async for item in items:
                await self.put(item)
        else:
            for item in items:
                if self.queue and len(self.queue) >= self.slots.limit:
                    await self.put(item)
                else:
                    self.push(item)
        self.end()

    async def put(self, item: T) -> None:
        while len(self.queue) >= self.slots.limit:
            self.room.clear()
            await self.room.wait()
        self.push(item)

    def over(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if task.cancelled():
            if not self.stopped:
                self.more()
        elif (error := task.exception()) is not None:
            self.fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        else:
            self.more()

    def end(self) -> None:
        """The source has no more."""
        self.ended = True
        self.more()

    def fail(self, error: Exception) -> None:
        if not self.stopped:
            self.stop()
            self.observer.on_error(error)

    def stop(self) -> None:
        """Cancel what runs; let go what waits."""
        self.stopped = True
        self.queue.clear()
        for task in self.tasks:
            task.cancel()


class Isolated(Generic[T, U]):
    """Awaits ``fn(item)`` in a context copy of its own, so that what it sets is gone with it."""

    __slots__ = ("fn", "item")

    def __init__(self, fn: Callable[[T], Awaitable[U]], item: T) -> None:
        self.fn = fn
        self.item = item

    def __await__(self) -> Generator[Any, Any, U]:
        run = copy_context().run
        steps: Any = run(self.fn, self.item)
        if not hasattr(steps, "send"):
            steps = steps.__await__()
        step, argument = steps.send, None
        while True:
            try:
                waited = run(step, argument)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            try:
                argument = yield waited
                step = steps.send
            except BaseException as error:
                argument, step = error, steps.throw
