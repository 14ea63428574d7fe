"""What one task has started, and where in it we are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from streamer.errors import Cancelled, Category, TimedOut
from streamer.events import Event, Listener
from streamer.limits import Slots

if TYPE_CHECKING:
    from streamer.results import Attempt
    from streamer.single import Single
    from streamer.tasks import TaskBase

T = TypeVar("T")
CANCEL_GRACE = 1.0


class Scope:
    """All that one task has started.

    Every asyncio task is registered here until it ends. Those that are cancelled are awaited for ``grace``
    seconds; what still runs then is a stray: it keeps the slot, and ``when_empty`` is called at its end.

    Invariants: ``active`` counts the calls under way and ``sleeping`` the back-offs; the run slot is lent to
    others exactly while there are sleepers and no calls; a call begins only with the slot in hand.
    """

    slots: Slots | None = None
    lent = False
    active = 0
    sleeping = 0
    threads = 0
    deadline: float | None = None
    listener: Listener | None = None
    compile: Callable[[TaskBase], Single[Any]] | None = None
    when_empty: Callable[[], object] | None = None

    def __init__(self, task_id: str, grace: float = CANCEL_GRACE) -> None:
        self.task_id = task_id
        self.grace = grace
        self.loop = asyncio.get_running_loop()
        self.epoch = time.time() - self.loop.time()
        """Added to the loop's time it gives the time of day; one clock for a task's whole life."""
        self.tasks: set[asyncio.Task[Any]] = set()

    def emit(self, event: Event) -> None:
        """Tell the listener, whose errors change nothing."""
        if self.listener is not None:
            try:
                self.listener(event)
            except Exception as error:
                self.loop.call_exception_handler({"message": "An event listener raised", "exception": error})

    # --- what runs

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start an asyncio task of this scope."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.ended)
        return task

    def ended(self, task: asyncio.Task[Any]) -> None:
        """Forget a task that has ended; its error is its starter's to read."""
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()
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
        end = self.loop.time() + self.grace
        interrupted: asyncio.CancelledError | None = None
        while pending and (left := end - self.loop.time()) > 0:
            try:
                _, pending = await asyncio.wait(pending, timeout=left)
            except asyncio.CancelledError as error:
                interrupted = error
                pending = {task for task in pending if not task.done()}
        if interrupted is not None:
            raise interrupted

    async def bounded(self, work: Coroutine[Any, Any, T], seconds: float, error: TimedOut) -> T:
        """Run ``work`` as a task of its own, at most so long; then cancel it, await it, and raise ``error``."""
        task = self.start(work)
        try:
            await asyncio.wait((task,), timeout=max(0.0, seconds))
        except asyncio.CancelledError:
            await self.cancel((task,))
            raise
        if not task.done():
            await self.cancel((task,))
            raise error
        return outcome(task)

    def left(self) -> float | None:
        """Seconds to the deadline; None without one."""
        return None if self.deadline is None else self.deadline - self.loop.time()

    # --- the run slot

    async def pause(self, seconds: float) -> None:
        """Sleep without a slot. With a deadline before its end there is no use in it: it raises at once."""
        if self.deadline is not None and self.loop.time() + seconds >= self.deadline:
            raise TimedOut("The deadline comes before the next attempt.", Category.DEADLINE)
        self.sleeping += 1
        if not self.active:
            self.lend()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.sleeping -= 1

    def lend(self) -> None:
        """Give the run slot to others while all that this task does is wait."""
        if self.slots is not None and not self.lent:
            self.lent = True
            self.slots.give()

    async def reclaim(self) -> None:
        """Wait for a run slot again; several calls of one task share it."""
        slots = self.slots
        assert slots is not None
        await slots.acquire()
        if self.lent:
            self.lent = False
        else:
            slots.give()


class Step:
    """A place in a task: where it stands, what it called, how it ended.

    ``path`` is its identity: ``/`` and a child's index or name per combinator; the calls that a function makes
    beyond its first have ``~2``, ``~3`` in the order they start. Running a step again (a retry) comes by the
    same steps, and goes on counting their attempts.
    """

    task: TaskBase | None = None
    kind: str | None = None
    tag: str | None = None
    started: float | None = None
    finished: float | None = None
    value: Any = None
    error: BaseException | None = None
    skipped: str | None = None
    winner: int | None = None
    named = False
    combines = False
    children: dict[int | str, Step] | None = None
    calls: list[Step] | None = None
    called = 0
    attempts: list[Attempt] | None = None
    answered: tuple[str, str | None, str | None, bool] | None = None
    first_token: float | None = None

    def __init__(self, scope: Scope, path: str = "") -> None:
        self.scope = scope
        self.path = path

    def child(self, key: int | str) -> Step:
        """The step of a combinator's child."""
        if self.children is None:
            self.children = {}
        step = self.children.get(key)
        if step is None:
            step = self.children[key] = Step(self.scope, f"{self.path}/{key}")
            if isinstance(key, str):
                step.tag = key
        return step

    def call(self) -> Step:
        """The step of the next call that a function makes."""
        if self.calls is None:
            self.calls = []
        self.called += 1
        if self.called > len(self.calls):
            suffix = f"~{self.called}" if self.called > 1 else ""
            self.calls.append(Step(self.scope, self.path + suffix))
        return self.calls[self.called - 1]

    def again(self) -> None:
        """The function begins anew: its calls are the same calls."""
        self.called = 0

    async def run(self, single: Single[T]) -> T:
        """Run a Single here and remember how it ended."""
        scope = self.scope
        self.kind = single.kind
        self.task = single.task
        self.started = scope.loop.time()
        self.error = None
        try:
            value = self.value = await single.at(self)
        except BaseException as error:
            self.error = error
            self.value = getattr(error, "value", None)
            raise
        finally:
            self.finished = scope.loop.time()
        return value

    def skip(self, single: Single[Any], why: str) -> None:
        """It never begins."""
        self.kind = single.kind
        self.task = single.task
        self.skipped = why


current: ContextVar[Step | None] = ContextVar("streamer_step", default=None)


def outcome(task: asyncio.Task[T]) -> T:
    """The value of a task that has ended; cancelled from within is a failure of its own."""
    if task.cancelled():
        raise Cancelled("It cancelled itself.")
    return task.result()


def own_cancellation() -> bool:
    """Whether the CancelledError in flight was meant for the running asyncio task, not raised by its code."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
