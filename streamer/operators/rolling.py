"""Children side by side in a window that rolls on over an input: workers begin them as there is room."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextvars import copy_context
from functools import partial
from math import inf
from sys import maxsize
from typing import Any

from streamer.errors import Cancelled, contained
from streamer.limits import Hold, Place, Places, held
from streamer.operators.isolated import Isolated
from streamer.operators.reading import END, Items, reading
from streamer.scope import Scope
from streamer.single import Single
from streamer.step import Step

STOPPED = "Its siblings' outcome ended it."


class Rolling:
    """Workers, started on demand, of which each runs one child after another.

    A child's first step is made in its worker, in a context of its own: one that never waits costs no asyncio task.
    Whoever finds that its child waits has two more workers started, if there is something for them to begin. What
    cancels a child ends its worker with it, so that the next child begins uncancelled. From its start until a child
    of it waits a worker counts as work, so that the run slot is not lent while a child is about to begin.

    Invariants: children begin in the order of their items, which are read only then; at most ``limit`` have begun
    and not been ``freed``, besides those that lend their place while they back off; who ends that goes before who
    has not begun. A batch is freed before the next begins. Once ``stop`` has returned all has ended, or has
    had the grace to, and ``ended`` is told of nothing any more.
    """

    def __init__(
        self, scope: Scope, items: Items, *, total: int | None, limit: int, batch: int | None, lends: bool
    ) -> None:
        self.scope = scope
        self.total = total
        self.limit = limit
        self.batch = batch
        self.until = maxsize
        self.begun = self.freed = self.starting = 0
        self.exhausted = self.halted = False
        self.running: dict[int, Step] = {}
        self.error: BaseException | None = None
        self.workers: set[asyncio.Task[None]] = set()
        self.places: Places | None = None
        """Only where there may be more children than places."""
        if lends and (total is None or total > limit) and (batch is None or batch > limit):
            self.places = Places(limit, partial(copy_context().run, self.hire))
            self.around: Hold | Scope = (held.get() if scope.holds else None) or scope
            scope.holds = True
            self.placeless: set[int] = set()
            """Those that ended in a back-off, or in what they do without a place after it."""
        self.news = asyncio.Event()
        self.reading = reading(items, self.news.set)
        work = self.reading.work()
        self.reader = None if work is None else scope.start(work)

    @abstractmethod
    def begin(self, item: Any, index: int) -> tuple[Step, Single[Any]]:
        """The child of an item."""

    @abstractmethod
    def ended(self, index: int, child: Step, value: Any, error: Exception | None) -> None:
        """Told of each child once. ``freed`` is counted up then or later."""

    @property
    def done(self) -> bool:
        """Whether all there was has begun, and was freed."""
        return self.exhausted and self.freed == self.begun

    def room(self) -> bool:
        """Whether another may begin, and can be read."""
        places = self.places
        taken = self.begun - self.freed if places is None else places.active
        if self.halted or self.exhausted or taken >= self.limit:
            return False
        if self.batch is not None and self.begun == self.freed:
            self.until = (self.begun // self.batch + 1) * self.batch
        return self.begun < self.until and self.reading.ready()

    def hire(self) -> None:
        """Start a worker, if there is something to begin that no other is starting for."""
        resting = 0 if self.places is None else self.places.resting
        if len(self.workers) - resting < self.limit and self.room():
            left = inf if self.total is None else self.total - self.begun
            if not self.starting or self.starting < left:
                self.starting += 1
                self.scope.active += 1
                self.workers.add(self.scope.start(self.work()))

    async def work(self) -> None:
        """Run one child after another while there is room; the loop has a turn after ``limit`` that never waited."""
        self.starting -= 1
        fresh = True
        task = asyncio.current_task()
        assert task is not None
        at_once = 0
        places, place = self.places, self.place()
        try:
            while self.room() and not task.cancelling():
                item = self.reading.take()
                if item is END:
                    self.exhausted = True
                    self.total = self.begun
                    break
                index = self.begun
                child, single = self.begin(item, index)
                self.begun += 1
                if places is not None:
                    places.active += 1
                self.running[index] = child
                run = copy_context().run
                steps = child.run(single)
                at_once += 1
                value: Any = None
                failure: Exception | None = None
                try:
                    try:
                        waited = run(steps.send, None)
                    except StopIteration as end:
                        value = end.value
                    else:
                        at_once = 0
                        self.hire()
                        self.hire()
                        if fresh:
                            fresh = False
                            self.scope.end()
                        value = await Isolated(run, steps, waited)
                except asyncio.CancelledError:
                    failure = Cancelled(STOPPED if self.halted else "It cancelled itself.")
                except Exception as error:
                    failure = error
                if place is not None and (place.lent or place.active or place.sleeping):
                    if place.lent:
                        self.placeless.add(index)
                    place.leave()
                    place = self.place()
                self.note(index, value, failure)
                value = failure = None  # whose traceback leads here
                if at_once == self.limit:
                    at_once = 0
                    await asyncio.sleep(0)
        except BaseException as error:
            lost = contained(error)
            if not task.cancelling():
                self.error = lost
            if not isinstance(lost, Exception):
                raise
        finally:
            if fresh:
                self.scope.end()
            self.workers.discard(task)
            self.news.set()

    def place(self) -> Place | None:
        """Held around a worker's children from here on, where there may be too few of them."""
        if self.places is None:
            return None
        place = Place(self.places, self.around)
        held.set(place)
        return place

    def free(self, index: int) -> None:
        """A child makes room."""
        self.freed += 1
        places = self.places
        if places is not None:
            if index in self.placeless:
                self.placeless.remove(index)
            elif places.waiters.alive:
                places.give()
            else:
                places.active -= 1

    def note(self, index: int, value: Any, error: Exception | None) -> None:
        """A child has ended; one for which the grace was too short was told of then."""
        child = self.running.pop(index, None)
        if child is not None:
            self.ended(index, child, value, error)

    async def roused(self) -> None:
        """Wait for news; what the input raised is raised here."""
        await self.news.wait()
        self.news.clear()
        if self.error is not None:
            raise self.error

    async def stop(self) -> None:
        """Begin nothing more, cancel what runs and await it within the grace."""
        self.halted = True
        tasks = self.workers if self.reader is None else {*self.workers, self.reader}
        try:
            if any(not task.done() for task in tasks):
                await self.scope.cancel(tasks)
        finally:
            self.scope.active -= self.starting  # they never began
            self.starting = 0
            for index in list(self.running):
                self.note(index, None, Cancelled(STOPPED))
