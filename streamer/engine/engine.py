"""Runs tasks: one coroutine from a task to its Result, which never errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import uuid4

from streamer.engine.compile import Compiler
from streamer.errors import Cancelled, Category, TimedOut
from streamer.events import Listener, TaskEnded
from streamer.limits import Slots
from streamer.outcomes import result_of
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry, default_registry
from streamer.results import Result
from streamer.scope import CANCEL_GRACE, Scope, Step, current, own_cancellation
from streamer.single import Single, resolve
from streamer.tasks import Retry, TaskBase


class Engine:
    """Answers tasks, with or without Kafka around it.

    ``answer`` is a topology's function from a task to a Single, a Task or a value; without it a task of the wire
    means what it says. ``slots`` are the run slots, which a back-off lends to others. ``cancel_grace`` is how many
    seconds a cancelled call is awaited.
    """

    def __init__(
        self,
        answer: Callable[[Any], Any] | None = None,
        *,
        functions: Mapping[str, FunctionTarget] | None = None,
        providers: Registry = default_registry,
        retry: Retry | None = None,
        slots: Slots | None = None,
        listener: Listener | None = None,
        cancel_grace: float = CANCEL_GRACE,
    ) -> None:
        self.answer = answer
        self.providers = providers
        self.slots = slots
        self.listener = listener
        self.cancel_grace = cancel_grace
        self.compile = Compiler(providers, functions or {}, retry).compile

    async def run(
        self,
        task: Any,
        *,
        task_id: str | None = None,
        received: float | None = None,
        deadline: float | None = None,
    ) -> Result:
        """Answer one task. ``received`` is on the loop's clock, ``deadline`` in seconds since the epoch.

        Cancelling it cancels what it runs. Strays that outlive the grace keep the run slot until they end.
        """
        own = isinstance(task, TaskBase)
        if task_id is None:
            task_id = (task.id if own else None) or str(uuid4())
        scope = Scope(task_id, self.cancel_grace)
        scope.slots = self.slots
        scope.listener = self.listener
        scope.compile = self.compile
        step = Step(scope)
        now = step.started = scope.loop.time()
        if received is None:
            received = now
        at = task.deadline.timestamp() if own and task.deadline is not None else None
        if deadline is not None and (at is None or deadline < at):
            at = deadline
        value: Any = None
        error: BaseException | None = None
        try:
            if at is None:
                value = await self.run_plan(step, task)
            else:
                value = await self.run_until(at, step, task)
        except asyncio.CancelledError as cancelled:
            if own_cancellation():
                self.leave(scope)
                raise
            error = Cancelled(str(cancelled) or "It raised CancelledError itself.")
        except Exception as raised:
            error = raised
            value = getattr(raised, "value", None)
        step.finished = scope.loop.time()
        step.task = task if own else None
        kind = str(getattr(type(task), "__struct_config__").tag or type(task).__name__)  # noqa: B009
        result = result_of(step, value=value, error=error, received=received, kind=kind, task_id=task_id)
        if self.slots is not None and (scope.lent or scope.tasks or scope.threads):
            self.leave(scope)
        if self.listener is not None:
            scope.emit(TaskEnded(result))
        return result

    async def run_plan(self, step: Step, task: Any) -> Any:
        """What the topology says, or the task itself, run at this step."""
        if self.answer is None:
            return await self.compile(task).at(step)
        token = current.set(step)
        try:
            plan = self.answer(task)
            if isinstance(plan, TaskBase):
                plan = self.compile(plan)
            if isinstance(plan, Single):
                return await plan.at(step)
            return await resolve(step, plan)
        finally:
            current.reset(token)

    async def run_until(self, at: float, step: Step, task: Any) -> Any:
        """The same with a deadline, in seconds since the epoch; past it nothing is called."""
        scope = step.scope
        scope.deadline = at - scope.epoch
        expired = TimedOut("The deadline has passed.", Category.DEADLINE)
        left = scope.deadline - scope.loop.time()
        if left <= 0:
            raise expired
        return await scope.bounded(self.run_plan(step, task), left, expired)

    def leave(self, scope: Scope) -> None:
        """Say what becomes of the run slot: lent already, or kept by strays until the last has ended."""
        slots = self.slots
        if slots is None:
            return
        if scope.lent:
            slots.kept = True
        elif scope.tasks or scope.threads:
            slots.kept = True
            scope.when_empty = once(scope, slots.give)


def once(scope: Scope, act: Callable[[], None]) -> Callable[[], None]:
    """Act at the first call only."""

    def call() -> None:
        scope.when_empty = None
        act()

    return call


@cache
def default_engine() -> Engine:
    """The engine of scripts: the process's providers, no functions."""
    return Engine()
