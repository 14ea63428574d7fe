"""An event loop whose clock jumps: hours pass in a test that takes milliseconds."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 0.02
"""Real seconds that a working thread is given before a jump."""
STUCK = 5.0
"""Real seconds without a timer, a thread or an event after which a loop counts as stuck."""


class Stuck(RuntimeError):
    """Everything waits, and nothing is left that could wake it."""


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time: when nothing is ready, its clock jumps to the next timer.

    ``time()`` begins at 0. A thread of any ``ThreadPoolExecutor`` (``asyncio.to_thread``, a topology's functions)
    that still works is given 20 ms of real time before each jump, so that what is quick is done before the next
    timer, while a thread that is stuck does not stop the clock. ``waited`` is how many real seconds went by
    waiting. A loop in which nothing can happen any more raises :class:`Stuck`. Real sockets don't mix with it.

    Use it as ``asyncio.Runner(loop_factory=JumpingLoop)``, as pytest-asyncio's loop factory, or by :func:`run`.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.waited = 0.0
        super().__init__(JumpingSelector(self))

    def time(self) -> float:
        return self.now

    def run_forever(self) -> None:
        with threads.counted():
            super().run_forever()

    async def shutdown_default_executor(self, *args: Any, **named: Any) -> None:
        """The same; its own clock would jump."""
        with threads.working():
            await super().shutdown_default_executor(*args, **named)


class JumpingSelector(selectors.DefaultSelector):
    """Looks for events; jumps instead of waiting for them."""

    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        began = time.perf_counter()
        while not events and time.perf_counter() - began < self.patience(timeout):
            events = super().select(0.001)
        # a thread that has just ended said so before it was no longer counted
        events = events or super().select(0)
        self.loop.waited += time.perf_counter() - began
        if not events:
            if timeout is None:
                raise Stuck("Everything waits, and there is no timer, thread or event left.")
            self.loop.now += timeout
        return events

    def patience(self, timeout: float | None) -> float:
        """How many real seconds to wait, all in all."""
        if timeout is not None:
            return PATIENCE if threads.count else 0.0
        # only the loop's own wake-up is registered when there are no sockets
        return float("inf") if threads.count or len(self.get_map()) > 1 else STUCK


class Threads:
    """How many submitted calls of thread pools are not over yet, callbacks included.

    Counted while a jumping loop runs, by way of ``ThreadPoolExecutor.submit``.
    """

    def __init__(self) -> None:
        self.count = 0
        self.loops = 0
        self.lock = Lock()
        self.original = ThreadPoolExecutor.submit

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is submitted meanwhile."""
        with self.lock:
            self.loops += 1
            if self.loops == 1:
                self.original = ThreadPoolExecutor.submit
                ThreadPoolExecutor.submit = submit  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            with self.lock:
                self.loops -= 1
                if self.loops == 0:
                    ThreadPoolExecutor.submit = self.original  # type: ignore[method-assign]

    @contextmanager
    def working(self) -> Iterator[None]:
        """One more that works, until the end of the block."""
        self.add(1)
        try:
            yield
        finally:
            self.add(-1)

    def add(self, number: int) -> None:
        with self.lock:
            self.count += number


threads = Threads()


def submit(pool: ThreadPoolExecutor, function: Callable[..., T], /, *args: Any, **named: Any) -> Future[T]:
    """Submit a call that is counted until the callbacks of its future have run."""
    outcome: Future[T] = Future()

    def work() -> None:
        try:
            if not outcome.set_running_or_notify_cancel():
                return
            try:
                value = function(*args, **named)
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(value)
        finally:
            threads.add(-1)

    threads.add(1)
    try:
        threads.original(pool, work)
    except BaseException:
        threads.add(-1)
        raise
    return outcome


def run(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run``, in virtual time."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(work)
