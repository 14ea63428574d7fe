"""Many tasks as an async iterator of Results, no faster than they are read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from contextlib import suppress
from inspect import isgenerator
from typing import Any

from reactivex import Observable
from reactivex import operators as ops

from streamer.limits import Limit
from streamer.operators.concurrent_map import concurrent_map
from streamer.results import Result
from streamer.tasks import priority_of

CONCURRENCY = 100
WAITING = 10_000
"""How many tasks of an Observable, which can't be told to wait, may wait here."""
Tasks = Observable[Any] | Iterable[Any] | AsyncIterable[Any]


class Stream:
    """The way of many tasks to whoever reads their Results.

    Invariants: ``taken`` counts the tasks that were read and whose Results were not; of an iterable there are never
    more than twice the slots; when ``results`` has ended, nothing runs but what outlives its grace.
    """

    def __init__(
        self,
        run: Callable[[Any], Coroutine[Any, Any, Result]],
        tasks: Tasks,
        slots: Limit,
        bound: int,
        grace: float,
    ) -> None:
        self.run = run
        self.tasks = tasks
        self.slots = slots
        self.bound = Limit(bound, "bound").limit
        self.grace = grace
        self.answered: deque[Result] = deque()
        self.news = asyncio.Event()
        self.room = asyncio.Event()
        self.taken = self.busy = 0
        self.ended = False
        self.error: Exception | None = None

    async def results(self) -> AsyncGenerator[Result]:
        """The Results as they come."""
        tasks = self.tasks
        source = tasks.pipe(ops.do_action(self.count)) if isinstance(tasks, Observable) else self.read(tasks)
        subscription = concurrent_map(self.answer, self.slots, priority=priority_of)(source).subscribe(
            self.arrived, self.failed, self.completed
        )
        try:
            while True:
                while self.answered:
                    self.taken -= 1
                    self.room.set()
                    yield self.answered.popleft()
                if self.error is not None:
                    raise self.error
                if self.ended:
                    return
                self.news.clear()
                await self.news.wait()
        finally:
            subscription.dispose()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.grace):
                    await self.idle()

    async def read(self, tasks: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[Any]:
        """The tasks, as there is room for their Results; the source is closed however this ends."""
        self.busy += 1
        items = aiter(tasks) if isinstance(tasks, AsyncIterable) else each(tasks)
        try:
            async for task in items:
                self.taken += 1
                yield task
                while self.taken >= 2 * self.slots.limit:
                    self.room.clear()
                    await self.room.wait()
        finally:
            try:
                close = getattr(items, "aclose", None)
                if close is not None:
                    await close()
            finally:
                self.done()

    def count(self, task: Any) -> None:
        """An Observable has emitted one more."""
        del task
        if self.taken >= self.bound:
            raise OverflowError(
                f"The source overran its bound: {self.bound} tasks wait, or their results do."
            )
        self.taken += 1

    async def answer(self, task: Any) -> Result:
        self.busy += 1
        try:
            return await self.run(task)
        finally:
            self.done()

    def done(self) -> None:
        """Something that ran has ended."""
        self.busy -= 1
        self.news.set()

    async def idle(self) -> None:
        """Wait until nothing runs."""
        while self.busy:
            self.news.clear()
            await self.news.wait()

    # --- the observer

    def arrived(self, result: Result) -> None:
        self.answered.append(result)
        self.news.set()

    def failed(self, error: Exception) -> None:
        self.error = error
        self.news.set()

    def completed(self) -> None:
        self.ended = True
        self.news.set()


async def each(items: Iterable[Any]) -> AsyncGenerator[Any]:
    """An iterable as an async one; a generator is closed however this ends."""
    given = iter(items)
    try:
        for item in given:
            yield item
    finally:
        if isgenerator(given):
            given.close()
