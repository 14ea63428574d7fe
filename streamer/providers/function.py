"""A registered function as something to call."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any, cast

from streamer.call import Call
from streamer.clocks import tightest
from streamer.errors import CallFailed, Cancelled, Category, SettingsError, StreamerError, category_of
from streamer.limits import Limit, depart, enter, held, limit_of
from streamer.operand import CALLS, as_single, collected, misfit, settle
from streamer.providers.processes import Job, Processes
from streamer.single import Single
from streamer.step import Step, current, restore
from streamer.tasks import TaskBase, Timeouts

THREADS = 32


class FunctionTarget:
    """A function with its name, its limit, and where it runs.

    ``run_in="thread"`` keeps a blocking function off the event loop, and is the default for a plain one; an async
    one runs on the loop. ``run_in="process"`` is for a plain one that computes: it leaves the processor's other cores
    to the rest, and only what can be pickled goes in and out. ``retry_on`` names exceptions that may pass by
    themselves. A thread can't be cancelled: it keeps its slot, and its task's, until it ends; a process is killed,
    and one that dies is that call's failure, ``internal``. With ``journal`` what it returned is remembered across crashes, as
    an answer that was paid for, provided that it is a plain value.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        *,
        retry_on: type[Exception] | tuple[type[Exception], ...] = (),
        run_in: str | None = None,
        concurrency: int | Limit | None = None,
        journal: bool = False,
    ) -> None:
        if run_in not in (None, "thread", "process", "loop"):
            raise SettingsError(
                f"function {name!r}: run_in is 'thread', 'process' or 'loop', not {run_in!r}."
            )
        types = (retry_on,) if isinstance(retry_on, type) else tuple(retry_on)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in types):
            raise SettingsError(f"function {name!r}: retry_on holds exception types, not {retry_on!r}.")
        self.function = self.__wrapped__ = function  # so that its signature is the function's
        self.name = name
        self.journal = journal
        self.retry_on = types
        plain = not any(
            check(thing)
            for check in (iscoroutinefunction, isasyncgenfunction)
            for thing in (function, getattr(function, "__call__", None))  # noqa: B004
        )
        if run_in in ("thread", "process") and not plain:
            raise SettingsError(f"function {name!r} is async, so it runs on the loop; leave run_in out.")
        self.threaded = plain and run_in != "loop"
        self.processes = Processes(function, name) if run_in == "process" else None
        limit = concurrency
        if limit is None and self.threaded:
            limit = THREADS if self.processes is None else os.cpu_count() or 1
        self.slots = None if limit is None else limit_of(limit, f"concurrency of function {name!r}")
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

    async def close(self) -> None:
        """End its processes that have nothing to do; they are made anew when needed."""
        if self.processes is not None:
            await asyncio.to_thread(self.processes.close)


def targets(functions: Mapping[str, FunctionTarget | Callable[..., Any]]) -> Mapping[str, FunctionTarget]:
    """Functions by the names that tasks call them by; plain ones as targets."""
    if not isinstance(functions, Mapping):
        raise SettingsError(f"functions are a mapping of names to functions, not {functions!r}.")
    if all(isinstance(function, FunctionTarget) for function in functions.values()):
        return cast("Mapping[str, FunctionTarget]", functions)  # a topology's, to which others may be added
    for name, function in functions.items():
        if not callable(function):
            raise SettingsError(f"functions: {name!r} is {function!r}, which can't be called.")
    return {
        name: function if isinstance(function, FunctionTarget) else FunctionTarget(function, name)
        for name, function in functions.items()
    }


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
        clocks: Timeouts | None = None,
    ) -> None:
        super().__init__("function", target.name, target.slots, clocks, task)
        self.target = target
        self.journaled = target.journal
        self.args = args
        self.arguments = named

    def bounded(self, clocks: Timeouts) -> Single[Any]:
        for name in ("connect", "first_token", "between_tokens"):
            if getattr(clocks, name) is not None:
                raise ValueError(f"timeout: {name} is a clock of a model's call; {self.model} is a function.")
        return FunctionCall(self.target, self.args, self.arguments, self.task, tightest(self.clocks, clocks))

    def question(self) -> Any:
        return self.target.name, self.args, self.arguments

    async def perform(self, step: Step, attempt_id: str) -> Any:
        del attempt_id  # a function has no place for it
        step.again()
        try:
            value = await self.answer(step)
        except Exception as error:
            failure = self.meant(error)
            if failure is error:
                raise
            raise failure from error
        return value if not isinstance(value, CALLS) else await self.handed_on(step, value)

    def meant(self, error: Exception) -> Exception:
        """What its exception counts as."""
        target = self.target
        if isinstance(error, TypeError):
            why = misfit(target.function, self.args, self.arguments)
            if why is not None:
                said = f"function {target.name!r} can't be called with these arguments: {why}."
                return CallFailed(Category.INVALID_REQUEST, said)
        if isinstance(error, target.retry_on) and category_of(error) is Category.INTERNAL:
            return CallFailed(Category.SERVER_ERROR, str(error))
        return error

    async def answer(self, step: Step) -> Any:
        """What the function itself does, which holds the slot until it has really ended."""
        thread: asyncio.Future[Any] | None = None
        slots = self.slots
        # its own code may ask for another slot of the same limit; a thread can't
        nests = slots is not None and not self.target.threaded
        inside = enter(self.limit or slots, slots, step.scope) if nests and slots is not None else None
        if slots is None:
            # it holds nothing that others wait for, so while it waits for calls of its own the run slot is lent
            step.scope.active -= 1
        token = current.set(step)
        try:
            if self.target.threaded:
                job = Job() if self.target.processes is not None else None
                thread = self.in_thread(step, job)
                value = await self.awaited(step, thread, job)
            else:
                value = self.target.function(*self.args, **self.arguments)
            return await settle(step, value)
        finally:
            restore(token)
            if inside is not None:
                depart(inside)
            if slots is None:
                step.scope.active += 1
            elif thread is None or thread.done():
                slots.give()
            else:
                thread.add_done_callback(self.give_late)

    async def handed_on(self, step: Step, value: Any) -> Any:
        """The function has ended in a Single or a Task: its child goes on, and this attempt only waits for it."""
        scope = step.scope
        scope.end()
        try:
            return await step.call().run(as_single(value))
        finally:
            scope.active += 1

    def in_thread(self, step: Step, job: Job | None) -> asyncio.Future[Any]:
        """Run the function in a thread, or as a job of its processes, which a thread waits for."""
        scope = step.scope
        work = partial(self.guarded, copy_context(), job)
        future = scope.loop.run_in_executor(self.target.executor, work)
        scope.threads += 1
        hold = held.get() if scope.holds else None
        if hold is not None:
            hold.join()  # the call has begun, so it is in hand; the thread may outlive the call

        def ended(future: asyncio.Future[Any]) -> None:
            if hold is not None:
                hold.end()
            if not future.cancelled():
                future.exception()  # seen: whoever waited for it may be gone
            scope.threads -= 1
            scope.rest()
            scope.emptied()

        future.add_done_callback(ended)
        return future

    def guarded(self, context: Context, job: Job | None) -> Any:
        """The function, of whose exceptions none can stop the event loop or be lost on the way to it."""
        processes = self.target.processes
        try:
            if job is not None and processes is not None:
                return processes.call(job, self.args, self.arguments)
            return collected(context.run(self.target.function, *self.args, **self.arguments))
        except asyncio.CancelledError as error:
            raise Cancelled(str(error) or "It raised CancelledError itself.") from error
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, StopIteration):
                raise
            raise StreamerError(f"It raised {error!r}.") from error

    async def awaited(self, step: Step, thread: asyncio.Future[Any], job: Job | None) -> Any:
        """The thread's value; when cancelled, a process is killed, and the thread is given the grace to end."""
        try:
            await asyncio.wait((thread,))
        except asyncio.CancelledError:
            if job is not None:
                job.cancel()
            await step.scope.outlast({thread})
            raise
        return thread.result()

    def give_late(self, thread: asyncio.Future[Any]) -> None:
        del thread
        if self.slots is not None:
            self.slots.give()
