"""What every sink is: an observer with one flusher, which ends when all that came is written."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import Any

from reactivex import abc


class Flushing(abc.ObserverBase[Any]):
    """``finished`` is done when the flusher has ended after ``on_completed``, and raises what was fatal."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.wake = asyncio.Event()
        self.ended = self.closing = False
        self.finished: asyncio.Future[None] = self.loop.create_future()
        self.flusher: asyncio.Task[None] | None = None

    @abstractmethod
    async def flush(self) -> None:
        """Write what comes, until ``ended`` and nothing is left."""

    def begin_flushing(self) -> None:
        self.flusher = self.loop.create_task(self.flush())
        self.flusher.add_done_callback(self.flusher_ended)

    def on_error(self, error: Exception) -> None:
        self.fail(error)
        self.on_completed()

    def on_completed(self) -> None:
        self.ended = True
        self.wake.set()

    def flusher_ended(self, task: asyncio.Task[None]) -> None:
        """What fails here for a reason that nobody thought of is a bug, and must not be a silence."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def fail(self, error: Exception) -> None:
        """The worker is to end; what still comes is written all the same."""
        if not self.finished.done():
            self.finished.set_exception(error)

    def all_written(self) -> None:
        """Nothing is left, and no more comes."""
        if not self.finished.done():
            self.finished.set_result(None)

    async def drained(self, seconds: float) -> bool:
        """Wait until all that came is written, and no more comes; False when time ran out."""
        assert self.flusher is not None
        await asyncio.wait((self.flusher,), timeout=seconds)
        return self.flusher.done()

    def stop_flushing(self) -> None:
        self.closing = True
        if self.flusher is not None:
            self.flusher.cancel()
