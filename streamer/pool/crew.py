"""The workers behind a pool: they run what was accepted, so many at once, and see that it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import copy

from streamer.engine import Engine
from streamer.errors import Cancelled
from streamer.events import Event, Listener, TaskEnded
from streamer.limits import Limit, Waiting, apart
from streamer.listeners import Telling
from streamer.pool.order import Order
from streamer.pool.stats import Counts, PoolStats
from streamer.results import Result
from streamer.step import current

WITHDRAWN = "Its future was cancelled before it began."


class Crew:
    """Runs each order in an asyncio task of its own while a slot is free; there is no worker that could die.

    Invariants: every order ends once, by ``finish``; nothing waits while a slot is free; a slot is held from before
    an order begins until it has really ended, but for its back-offs. ``ended`` is called after each end.
    """

    def __init__(
        self, slots: Limit, engine: Engine, listener: Listener | None, ended: Callable[[], object]
    ) -> None:
        self.slots = slots
        slots.freed = (self.more,)
        self.engine = copy(engine)
        self.engine.answer = None
        self.engine.slots, self.engine.admits = slots, False
        self.telling = Telling(engine.listener, listener)
        self.ended = ended
        self.orders: set[Order] = set()
        """Those accepted that have not ended."""
        self.waiting: Waiting[Order] = Waiting()
        self.counts = Counts()
        self.idle = asyncio.Event()
        self.idle.set()
        self.starting = False
        self.closed = False
        """Nothing is accepted any more."""
        self.patience: asyncio.TimerHandle | None = None

    @property
    def active(self) -> int:
        """How many hold a slot."""
        return sum(order.working for order in self.orders)

    @property
    def stats(self) -> PoolStats:
        active = self.active
        return self.counts.stats(len(self.orders) - active, active)

    def accept(self, order: Order) -> None:
        """From here on it ends in a result."""
        self.counts.submitted += 1
        self.orders.add(order)
        self.idle.clear()
        order.future.add_done_callback(lambda _: self.withdraw(order))
        order.place = self.waiting.push(order, order.priority, order.received)
        self.more()

    def more(self) -> None:
        """Begin what waits while slots are free."""
        if self.starting:
            return
        self.starting = True
        try:
            while self.waiting and self.slots.active < self.slots.limit:
                order = self.waiting.popleft()
                if order.future.cancelled():
                    self.finish(order, order.cut(Cancelled(WITHDRAWN)))
                else:
                    self.slots.take()
                    self.begin(order)
        finally:
            self.starting = False

    def begin(self, order: Order) -> None:
        self.engine.listener = self.relay if self.telling else None
        order.work = order.loop.create_task(self.work(order), context=order.context)
        order.work.add_done_callback(lambda task: self.over(order, task))

    async def work(self, order: Order) -> None:
        """Run it, and give the slot to the next, unless strays of it keep it."""
        order.begun = True
        current.set(None)  # it is no call of the task that submitted it
        apart()
        try:
            if order.future.cancelled():
                result = order.cut(Cancelled(WITHDRAWN))
            else:
                result = await self.engine.run(
                    order.plan,
                    task_id=order.id,
                    received=order.received,
                    deadline=order.deadline,
                    watched=order,
                )
        except asyncio.CancelledError:
            self.finish(order, order.cut(Cancelled("It was cancelled.")))
            if not order.stopped and winding_up():
                self.closed = True  # else it would begin what waits, which nobody would see the end of
                self.abort()
                self.ended()
        else:
            self.finish(order, result)
        finally:
            if self.slots.kept:
                self.slots.kept -= 1
            else:
                self.slots.give()

    def over(self, order: Order, task: asyncio.Task[None]) -> None:
        """Its asyncio task has ended; perhaps before its first step, or by what ends a program."""
        if not order.begun:
            self.slots.give()
        error = None if task.cancelled() else task.exception()
        if not order.ended:
            self.finish(order, order.cut(error or Cancelled("It was cancelled before it began.")))

    def finish(self, order: Order, result: Result) -> None:
        """It has its result."""
        if order.ended:
            return
        order.ended = True
        result = order.dressed(result)
        self.orders.discard(order)
        self.counts.ended(result)
        if not order.future.done():
            order.future.set_result(result)
        if not self.orders:
            self.idle.set()
        if self.telling:
            self.telling.tell(TaskEnded(result))
        self.ended()

    def withdraw(self, order: Order) -> None:
        """Its future is done: if that was its user's doing, so is it."""
        if not order.ended and order.future.cancelled():
            self.cancel(order, WITHDRAWN)

    def cancel(self, order: Order, message: str) -> None:
        """End it; what cleans up already is left to that."""
        if order.work is None:
            self.waiting.discard(order.place)
            self.finish(order, order.cut(Cancelled(message)))
        elif not order.work.cancelling():
            order.stopped = True
            order.work.cancel()

    def abort(self) -> None:
        """Cancel everything; what does not end in time is left behind."""
        for order in tuple(self.orders):
            self.cancel(order, "The pool was shut down before it began.")
        if self.patience is None:
            for order in self.orders:
                self.patience = order.loop.call_later(2 * self.engine.cancel_grace, self.abandon)
                break

    def abandon(self) -> None:
        """Wait no longer for what does not end; it keeps its slot."""
        for order in tuple(self.orders):
            self.finish(order, order.cut(Cancelled("It was cancelled, and had not ended in time.")))

    def dismiss(self) -> None:
        """Nothing more happens."""
        if self.patience is not None:
            self.patience.cancel()
        self.telling.complete()

    def relay(self, event: Event) -> None:
        """The engine's events; the end of a task is told once its result has its tag and metadata."""
        if type(event) is not TaskEnded:
            self.telling.tell(event)


def winding_up() -> bool:
    """Whether all that the loop runs is cancelled, as at the end of ``asyncio.run``."""
    return all(task.cancelling() for task in asyncio.all_tasks())
