"""What one task has started."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from streamer.errors import Cancelled, TimedOut, contain
from streamer.events import Event, Listener
from streamer.limits import NONE, RunSlot, held

if TYPE_CHECKING:
    from streamer.chunks import Chunks
    from streamer.operators.hedging import Hedging
    from streamer.single import Single
    from streamer.tasks import Retry, TaskBase

T = TypeVar("T")
CANCEL_GRACE = 1.0
PARK_AFTER = 5.0


class Scope(RunSlot):
    """All that one task has started, and the run slot that it all shares.

    Every asyncio task is registered here until it ends. Those that are cancelled are strays until then, awaited
    for ``grace`` seconds: they keep the slot, and ``when_empty`` is called at the end of the last.
    """

    listener: Listener | None = None
    compile: Callable[[TaskBase], Single[Any]] | None = None
    when_empty: Callable[[], object] | None = None
    retry: Retry | None = None
    """How calls are retried whose tasks say nothing of it."""
    retries_left: int | None = None
    """How many attempts beyond the first its calls may still make; None is no limit."""
    hedging: Hedging | None = None
    """Of its races that have none of their own."""
    threads = 0
    """Those under way: they end when they like."""
    chunks: Chunks | None = None
    """Told what models say, if anybody reads along."""
    cancelled = False
    """Its task was cancelled by its id."""
    closed = False
    """Its task has its result: no call begins any more."""
    journaled = 0
    """Calls that are journaled, made or recalled."""
    repeated = repeated_before = 0
    """Calls of this run, and of those before as far as known, that an earlier run may have made as well."""
    tasks: set[asyncio.Task[Any]] = NONE
    """What it has started and has not ended."""

    def __init__(self, task_id: str, grace: float = CANCEL_GRACE) -> None:
        self.task_id = task_id
        self.grace = grace
        self.loop = asyncio.get_running_loop()
        self.now = clock_of(self.loop)
        self.began = self.now()
        self.epoch = time.time() - self.began
        """Added to the loop's time it gives the time of day; one clock for a task's whole life."""
        if held.get() is not None:
            self.holds = True  # by code that another task runs

    def like(self, other: Scope) -> None:
        """Take over what another's engine says of calls."""
        self.compile, self.listener = other.compile, other.listener
        self.retry, self.hedging = other.retry, other.hedging

    def emit(self, event: Event) -> None:
        """Tell the listener, whose errors change nothing."""
        if self.listener is not None:
            try:
                self.listener(event)
            except Exception as error:
                self.loop.call_exception_handler({"message": "An event listener raised", "exception": error})

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start an asyncio task of this scope."""
        task = self.loop.create_task(work)
        if self.tasks is NONE:
            self.tasks = set()
        self.tasks.add(task)
        task.add_done_callback(self.ended)
        return task

    def ended(self, task: asyncio.Task[Any]) -> None:
        """Forget a task that has ended; its error is its starter's to read."""
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()
        if self.when_empty is not None:
            self.emptied()

    def emptied(self) -> None:
        """Tell who waits for the strays, once none is left."""
        if self.when_empty is not None and not self.tasks and not self.threads:
            self.when_empty()

    async def cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel the tasks and await them, at most for the grace, even when cancelled meanwhile."""
        pending = {task for task in tasks if not task.done()}
        for task in pending:
            task.cancel()
        await self.outlast(pending)

    async def outlast(self, pending: set[Any]) -> None:
        """Await what is to end soon, at most for the grace, even when cancelled meanwhile."""
        if self.strays is NONE:
            self.strays = set()
        for future in pending:
            self.strays.add(future)
            future.add_done_callback(self.stray_ended)
        end = self.now() + self.grace
        interrupted: asyncio.CancelledError | None = None
        while pending and (left := end - self.now()) > 0:
            try:
                _, pending = await asyncio.wait(pending, timeout=left)
            except asyncio.CancelledError as error:
                interrupted = error
                pending = {future for future in pending if not future.done()}
        if interrupted is not None:
            raise interrupted

    def stray_ended(self, future: asyncio.Future[Any]) -> None:
        self.strays.discard(future)
        self.rest()

    async def close(self) -> None:
        """Cancel what nobody awaits any more, and await it within the grace; strays have theirs, or had it."""
        left = {task for task in self.tasks if task not in self.strays}
        for task in left:
            if (
                not task.cancelling()
            ):  # else it is on its way, and a second time would interrupt its cleaning up
                task.cancel()
        await self.outlast(left)

    async def bounded(self, work: Coroutine[Any, Any, T], seconds: float, error: TimedOut) -> T:
        """Run ``work`` as a task of its own, at most so long; then cancel it, await it, and raise ``error``."""
        if seconds <= 0:
            work.close()
            raise error
        task = self.start(contain(work))
        try:
            await asyncio.wait((task,), timeout=seconds)
        except asyncio.CancelledError:
            await self.cancel((task,))
            raise
        if not task.done():
            await self.cancel((task,))
            raise error
        return outcome(task)


def outcome(task: asyncio.Task[T]) -> T:
    """The value of a task that has ended; cancelled from within is a failure of its own."""
    if task.cancelled():
        raise Cancelled("It cancelled itself.")
    return task.result()


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """What its time is read from: asyncio's own loop only passes on what this is, which takes four times as long."""
    ours = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
    return time.monotonic if ours else loop.time


def not_cancelled() -> None:
    """Go on, unless the running asyncio task is being cancelled and its code swallowed that."""
    if own_cancellation():
        raise asyncio.CancelledError


def own_cancellation() -> bool:
    """Whether the running asyncio task is being cancelled, so that a CancelledError is not of its code's making."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
