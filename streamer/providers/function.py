"""A registered function as something to call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from inspect import iscoroutinefunction
from typing import Any

from streamer.call import Call
from streamer.errors import CallFailed, Category, SettingsError, category_of
from streamer.limits import Slots
from streamer.scope import Scope, Step, current
from streamer.single import Single, call_function, resolve
from streamer.tasks import TaskBase

THREADS = 32


class FunctionTarget:
    """A function with its name, its limit, and where it runs.

    ``run_in="thread"`` keeps a blocking function off the event loop, and is the default for a plain one; an async
    one runs on the loop. ``retry_on`` names exceptions that may pass by themselves. A thread can't be cancelled: it
    keeps its slot, and its task's, until it ends.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        *,
        retry_on: tuple[type[Exception], ...] = (),
        run_in: str | None = None,
        concurrency: int | None = None,
    ) -> None:
        if run_in not in (None, "thread", "loop"):
            raise SettingsError(f"function {name!r}: run_in is 'thread' or 'loop', not {run_in!r}.")
        if isinstance(retry_on, type):
            retry_on = (retry_on,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in retry_on):
            raise SettingsError(f"function {name!r}: retry_on holds exception types, not {retry_on!r}.")
        self.function = function
        self.name = name
        self.retry_on = tuple(retry_on)
        plain = not iscoroutinefunction(function)
        if run_in == "thread" and not plain:
            raise SettingsError(f"function {name!r} is async, so it runs on the loop; leave run_in out.")
        self.threaded = plain and run_in != "loop"
        limit = THREADS if concurrency is None and self.threaded else concurrency
        self.slots = Slots(limit, f"concurrency of function {name!r}") if limit is not None else None
        self._executor: ThreadPoolExecutor | None = None

    @property
    def executor(self) -> ThreadPoolExecutor:
        """Threads of its own, as many as its limit, so that none of its calls waits behind another's."""
        if self._executor is None:
            assert self.slots is not None
            self._executor = ThreadPoolExecutor(self.slots.limit, f"streamer-{self.name}")
        return self._executor

    def __call__(self, *args: Any, **named: Any) -> Single[Any]:
        return FunctionCall(self, args, named)


class FunctionCall(Call):
    """A call of a registered function."""

    kind = "function"
    prompt_end = False

    def __init__(
        self,
        target: FunctionTarget,
        args: tuple[Any, ...],
        named: dict[str, Any],
        task: TaskBase | None = None,
        clock: float | None = None,
    ) -> None:
        super().__init__("function", target.name, target.slots, clock, task)
        self.target = target
        self.args = args
        self.named = named

    def bounded(self, seconds: float) -> Single[Any]:
        clock = seconds if self.clock is None else min(seconds, self.clock)
        return FunctionCall(self.target, self.args, self.named, self.task, clock)

    async def perform(self, step: Step, attempt_id: str) -> Any:
        del attempt_id  # a function has no place for it
        step.again()
        try:
            if self.target.threaded:
                return await resolve(step, await self.in_thread(step))
            try:
                return await call_function(step, self.target.function, *self.args, **self.named)
            finally:
                if self.slots is not None:
                    self.slots.give()
        except self.target.retry_on as error:
            if category_of(error) is Category.INTERNAL:
                raise CallFailed(Category.SERVER_ERROR, str(error)) from error
            raise

    def in_thread(self, step: Step) -> asyncio.Future[Any]:
        """Run the function in a thread, which holds the slot until it ends."""
        scope = step.scope
        token = current.set(step)
        try:
            work = partial(copy_context().run, self.target.function, *self.args, **self.named)
        finally:
            current.reset(token)
        scope.threads += 1
        future = self.target.executor.submit(work)
        waited = asyncio.wrap_future(future)
        future.add_done_callback(lambda _: scope.loop.call_soon_threadsafe(self.thread_ended, scope))
        return waited

    def thread_ended(self, scope: Scope) -> None:
        assert self.slots is not None
        self.slots.give()
        scope.threads -= 1
        scope.emptied()
