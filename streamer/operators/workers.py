"""What runs behind ``concurrent_map``: workers on demand, and the items that wait for them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable
from contextvars import copy_context
from inspect import isgenerator
from typing import Any, Generic, TypeVar

from reactivex import abc

from streamer.errors import Cancelled
from streamer.limits import Entry, Limit, Waiting, tenant
from streamer.operators.isolated import Isolated
from streamer.scope import CANCEL_GRACE, own_cancellation

T = TypeVar("T")
U = TypeVar("U")


class Workers(Generic[T, U]):
    """Workers that are started on demand, one start at a time, pull until nothing waits, and end.

    Invariants: no item waits while a slot is free and no worker is starting; every item that was begun has ended
    before the stream completes; after an error or a stop no value is emitted.
    """

    def __init__(
        self,
        fn: Callable[[T], Awaitable[U]],
        slots: Limit,
        bound: int | None,
        observer: abc.ObserverBase[U],
        priority: Callable[[T], int | None] | None = None,
    ) -> None:
        self.fn = fn
        self.slots = slots
        self.bound = bound
        self.observer = observer
        self.loop = asyncio.get_running_loop()
        self.context = copy_context()
        self.priority = priority
        self.queue: deque[T] | Waiting[T] = deque() if priority is None else Waiting()
        self.tasks: set[asyncio.Task[None]] = set()
        self.room = asyncio.Event()
        self.starting = self.ended = self.stopped = False
        self.error: Exception | None = None
        self.patience: asyncio.TimerHandle | None = None
        self.turn: Entry | None = None
        """Its place among those who wait for a slot that it shares with other streams; one at a time, so that they
        take turns."""
        self.granted: set[asyncio.Task[None]] = set()
        """Workers that were given a slot before their first step, which may never come."""
        self.strays = 0
        self.context.run(tenant.set, self)
        slots.freed = (*slots.freed, self.more)
        if len(slots.freed) > 1:
            for tell in slots.freed[:-1]:  # from now on it stands in line
                tell()

    def push(self, item: T) -> None:
        """Take an item from an Observable."""
        if self.bound is not None and len(self.queue) >= self.bound:
            self.fail(OverflowError(f"The source overran its bound: {self.bound} items wait already."))
            return
        try:
            self.put(item)
        except Exception as error:
            self.fail(error)

    def put(self, item: T) -> None:
        if self.stopped:
            return
        if self.priority is None:
            self.queue.append(item)  # type: ignore[union-attr]
        else:
            self.queue.push(item, self.priority(item), self.loop.time())  # type: ignore[union-attr]
        if not self.starting:
            self.more()

    def more(self) -> None:
        """Start another worker if there is work and room; complete if there is neither work nor more to come."""
        if self.queue:
            if not self.starting and not self.stopped:
                if self.slots.active < self.slots.limit:
                    self.starting = True
                    self.spawn(self.work())
                elif len(self.slots.freed) > 1 and self.turn is None:
                    self.line_up()
        elif self.ended and not self.tasks and not self.strays and not self.stopped:
            self.stop()
            self.observer.on_completed()

    def line_up(self) -> None:
        """Wait for a slot, for the item that is next here."""
        waiter = self.loop.create_future()
        waiter.add_done_callback(self.grant)
        first = self.queue.first() if isinstance(self.queue, Waiting) else None
        priority = self.priority(first) if self.priority is not None and first is not None else None
        self.turn = self.slots.waiters.push(waiter, priority, self.loop.time())

    def grant(self, waiter: asyncio.Future[None]) -> None:
        """The slot is here."""
        del waiter
        self.turn = None
        if self.stopped or not self.queue:
            self.slots.give()
        else:
            self.granted.add(self.spawn(self.work(held=True)))
        self.more()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # whoever gave the slot is another item: what it has set is nothing to this one
        task = self.loop.create_task(work, context=self.context.copy())
        self.tasks.add(task)
        task.add_done_callback(self.over)
        return task

    async def work(self, held: bool = False) -> None:
        """Pull items until none waits or no slot is free; the slot goes on from item to item."""
        if held:
            self.granted.discard(asyncio.current_task())
        else:
            self.starting = False
        queue, slots, fn, room = self.queue, self.slots, self.fn, self.room
        try:
            while queue and (held or slots.take()):
                held = True
                item = queue.popleft()
                if not room.is_set():
                    room.set()
                if queue and slots.active < slots.limit:
                    self.more()
                # its first step is made here: most that never wait end in it
                run = copy_context().run
                steps: Any = run(fn, item)
                if not hasattr(steps, "send"):
                    steps = run(steps.__await__)
                try:
                    waited = run(steps.send, None)
                except StopIteration as end:
                    value = end.value
                else:
                    value = await Isolated(run, steps, waited)
                if slots.kept:
                    slots.kept -= 1
                    held = False
                elif slots.waiters.alive:
                    held = False
                    slots.give()
                self.observer.on_next(value)
        except asyncio.CancelledError as error:
            if own_cancellation():
                raise
            self.fail(Cancelled(str(error) or "It raised CancelledError itself."))
        except Exception as error:
            # before the slot is given: nothing more is to begin
            if self.stopped:
                raise
            self.fail(error)
        finally:
            if held and slots.kept:
                slots.kept -= 1
            elif held:
                slots.give()

    async def pull(self, items: Iterable[T] | AsyncIterable[T]) -> None:
        """Read an iterable no faster than its items are begun; generators are closed however this ends."""
        if isinstance(items, AsyncIterable):
            source = aiter(items)
            try:
                async for item in source:
                    await self.space()
                    self.put(item)
            finally:
                close = getattr(source, "aclose", None)
                if close is not None:
                    await close()
        else:
            given = iter(items)
            try:
                for item in given:
                    if len(self.queue) >= self.slots.limit:
                        await self.space()
                    self.put(item)
            finally:
                if isgenerator(given):
                    given.close()
        self.end()

    async def space(self) -> None:
        """Wait until fewer items wait than can run."""
        while len(self.queue) >= self.slots.limit:
            self.room.clear()
            await self.room.wait()

    def over(self, task: asyncio.Task[None]) -> None:
        """A worker, or who reads the source, has ended."""
        self.tasks.discard(task)
        if task in self.granted:
            self.granted.discard(task)
            self.slots.give()
        error = Cancelled("It cancelled what ran it.") if task.cancelled() else task.exception()
        if error is None:
            self.more()
        elif not self.stopped:
            self.fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))
        elif not task.cancelled():
            self.loop.call_exception_handler({"message": "Raised after the stream's end", "exception": error})
        if self.error is not None and not self.tasks:
            self.tell()

    def end(self) -> None:
        """The source has no more."""
        self.ended = True
        self.more()

    def fail(self, error: Exception) -> None:
        """End the stream with an error, once what runs has ended or had the grace to."""
        if not self.stopped:
            self.stop()
            self.error = error
            if self.tasks:
                self.patience = self.loop.call_later(CANCEL_GRACE, self.tell)
            else:
                self.tell()

    def tell(self) -> None:
        error, self.error = self.error, None
        if self.patience is not None:
            self.patience.cancel()
        if error is not None:
            self.observer.on_error(error)

    def stop(self) -> None:
        """Cancel what runs; let go what waits."""
        self.stopped = True
        self.queue.clear()
        if self.turn is not None:
            self.slots.waiters.discard(self.turn)
            self.turn = None
        self.slots.freed = tuple(told for told in self.slots.freed if told != self.more)
        for task in self.tasks:
            task.cancel()
