"""Work that remembers what became of it, and what the tests ask of the loop."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from streamer.engine import Engine
from streamer.errors import CallFailed
from streamer.events import RetryScheduled
from streamer.limits import Limit
from streamer.operand import as_single
from streamer.results import Result


def now() -> float:
    """Virtual seconds since the loop began."""
    return asyncio.get_running_loop().time()


class Work:
    """Takes ``seconds``, then returns ``value`` or raises ``error``; when cancelled it cleans up for ``cleanup``."""

    def __init__(
        self, seconds: float = 0.0, value: Any = None, error: Exception | None = None, cleanup: float = 0.0
    ) -> None:
        self.seconds, self.value, self.error, self.cleanup = seconds, value, error, cleanup
        self.began: list[float] = []
        self.cancelled = self.ended = 0

    async def __call__(self) -> Any:
        self.began.append(now())
        try:
            await asyncio.sleep(self.seconds)
            if self.error is not None:
                raise self.error
            return self.value
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(self.cleanup)
            raise
        finally:
            self.ended += 1

    @property
    def alive(self) -> int:
        return len(self.began) - self.ended


class Stubborn(Work):
    """Goes on until ``release`` whatever is asked of it."""

    def __init__(self, value: Any = "late") -> None:
        super().__init__(value=value)
        self.release = asyncio.Event()

    async def __call__(self) -> Any:
        self.began.append(now())
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
        self.ended += 1
        return self.value


class Script:
    """Fails or answers as its lines say, one a call."""

    def __init__(self, *lines: Any) -> None:
        self.lines = list(lines)
        self.began: list[float] = []

    async def __call__(self) -> Any:
        self.began.append(now())
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        if isinstance(line, BaseException):
            raise line
        return line

    @property
    def waits(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.began)]


def passing(message: str = "busy", **details: Any) -> CallFailed:
    """A failure that may pass by itself."""
    return CallFailed("overloaded", message, **details)


def cancels_itself() -> None:
    """User code that raises what only the loop should."""
    raise asyncio.CancelledError("by its own hand")


def others() -> set[asyncio.Task[Any]]:
    """The asyncio tasks that are alive besides this one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def cancelled_after(seconds: float, work: Any) -> None:
    """Await it in a task of its own and cancel that from outside; it has to end as cancelled."""

    async def awaited() -> Any:
        return await work

    task = asyncio.ensure_future(awaited())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def result_of(plan: Any, **settings: Any) -> Result:
    """What the engine makes of a Single or another operand."""
    return await Engine(lambda _: as_single(plan), **settings).run(None)


class Runner:
    """Runs plans in run slots as the worker does: a slot is held from before, until it is really free."""

    def __init__(self, limit: int = 1) -> None:
        self.slots = Limit(limit)
        self.events: list[Any] = []
        self.engine = Engine(lambda plan: as_single(plan()), slots=self.slots, listener=self.events.append)

    async def run(self, plan: Callable[[], Any]) -> Result:
        await self.slots.acquire()
        try:
            return await self.engine.run(plan)
        finally:
            if self.slots.kept:
                self.slots.kept -= 1
            else:
                self.slots.give()

    def start(self, plan: Callable[[], Any]) -> asyncio.Task[Result]:
        return asyncio.ensure_future(self.run(plan))

    @property
    def delays(self) -> list[float]:
        return [event.delay for event in self.events if isinstance(event, RetryScheduled)]
