"""Runs tasks: one coroutine from a task to its Result, which never errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Coroutine, Mapping
from functools import cache
from typing import Any

from msgspec.structs import replace

from streamer.blocking import called
from streamer.chunks import Chunks
from streamer.engine.asked import asked, deadline_of, id_of, kind_of
from streamer.engine.compile import Compiler
from streamer.engine.doors import Doors
from streamer.engine.judging import judged_hedging, judged_instant, seconds
from streamer.engine.leaving import Leaving
from streamer.engine.running import BY_ID, Running, absorb
from streamer.errors import Cancelled, Category, ChildrenFailed, SettingsError, TimedOut, contained
from streamer.events import Listener, TaskEnded, TaskJournal
from streamer.limits import Limit, limit_of
from streamer.limits.admission import holding, inhabits
from streamer.limits.ceiling import ceiling
from streamer.listeners import Telling
from streamer.not_yet import refuse_fields
from streamer.operand import CALLS, as_single, resolve
from streamer.operators.hedging import Hedging
from streamer.operators.retry import by_default
from streamer.outcomes import flattened, result_of
from streamer.providers.function import FunctionTarget, targets
from streamer.providers.registry import Registry, default_registry
from streamer.results import Result
from streamer.scope import CANCEL_GRACE, PARK_AFTER, Scope, own_cancellation
from streamer.settings import steps_in_parallel
from streamer.spending import affordable
from streamer.step import Step, Watched, current, restore
from streamer.streams import Stream
from streamer.tasks import Retry, TaskBase, priority_of


class Engine(Doors, Leaving):
    """Answers tasks, with or without Kafka around it.

    ``answer`` is a topology's function from a task to a Single, a Task or a value; without it a task of the wire
    means what it says. ``functions`` are those that tasks call by name, as ``@topology.function`` takes them or plain ones.
    ``concurrency``, a number or a Limit that others share, is how many tasks run at once: further
    ones wait, by ``priority``, and a back-off lends its place to them. ``slots`` is the same for who holds a slot
    himself around each run. ``retry_budget`` is how many attempts beyond the first all calls of one task may make
    together, ``hedging`` what its hedged races know and may spend. ``cancel_grace`` is how many seconds a cancelled
    call is awaited. A back-off of ``park_after`` seconds and
    more is long: a task that has a journal and does nothing else is parked.

    ``async with`` closes its providers in the end; unless it was given others, those are the process's.
    """

    def __init__(
        self,
        answer: Callable[[Any], Any] | None = None,
        *,
        functions: Mapping[str, FunctionTarget | Callable[..., Any]] | None = None,
        providers: Registry = default_registry,
        retry: Retry | int | None = None,
        retry_budget: int | None = None,
        hedging: Hedging | None = None,
        concurrency: int | Limit | None = None,
        slots: Limit | None = None,
        listener: Listener | None = None,
        cancel_grace: float = CANCEL_GRACE,
        park_after: float = PARK_AFTER,
    ) -> None:
        steps_in_parallel()  # a wrong word is said now, not of every task
        self.answer = answer
        self.providers = providers
        retry = by_default(retry, "Engine")
        self.retry_budget = affordable(retry_budget)
        given = {
            "retry": retry,
            "retries_left": self.retry_budget,
            "hedging": judged_hedging(hedging, "Engine"),
        }
        self.of_tasks = {name: value for name, value in given.items() if value is not None}
        """What each task's scope is told."""
        for name, function in (("answer", answer), ("listener", listener)):
            if function is not None and not callable(function):
                raise SettingsError(f"{name} of an Engine is a function, not {function!r}.")
        if concurrency is not None and slots is not None:
            raise SettingsError("Engine: concurrency and slots say the same; give one of them.")
        ceiling()  # what is wrong with it is to be said before anything runs
        self.admits = concurrency is not None
        self.slots = slots if concurrency is None else limit_of(concurrency, "concurrency of an Engine")
        self.telling = Telling(listener)
        self.listener = self.telling.tell if self.telling else None
        self.cancel_grace = seconds("cancel_grace", cancel_grace)
        self.park_after = seconds("park_after", park_after)
        self.running = Running()
        self.unwanted: Container[str] = ()
        """Ids of tasks that are answered as cancelled, without a call."""
        self.compile = Compiler(providers, targets(functions or {}), retry).compile

    def run(
        self,
        task: Any,
        *,
        task_id: str | None = None,
        received: float | None = None,
        deadline: float | None = None,
        journal: TaskJournal | None = None,
        watched: Watched | None = None,
        chunks: Chunks | None = None,
    ) -> Coroutine[Any, Any, Result]:
        """Answer one task. ``received`` is on the loop's clock, ``deadline`` in seconds since the epoch.
        ``watched`` is given the task's first step, for whoever wants to see what it does; ``chunks`` what models
        say, as they say it.

        What the ``journal`` remembers of an earlier run is not called again, and what is called is noted there.
        Cancelling it cancels what it runs. Strays that outlive the grace keep the run slot until they end.
        """
        if deadline is not None:
            judged_instant(deadline)
        slots = self.slots
        if not self.admits or slots is None or inhabits(slots):
            return self.run_now(task, task_id, received, deadline, journal, watched, chunks)
        return self.run_admitted(slots, task, task_id, received, deadline, journal, watched, chunks)

    async def run_admitted(
        self,
        slots: Limit,
        task: Any,
        task_id: str | None,
        received: float | None,
        deadline: float | None,
        journal: TaskJournal | None,
        watched: Watched | None,
        chunks: Chunks | None,
    ) -> Result:
        """The same in a slot of the engine's own, once there is one."""
        if not task_id:
            task_id = id_of(task)
        arrived = asyncio.get_running_loop().time() if received is None else received
        given = task, task_id, arrived, deadline, journal, watched, chunks
        if not slots.take():
            at = deadline_of(task, deadline)
            left = None if at is None else at - time.time()
            ended = await self.running.wait(task_id, slots.acquire(priority_of(asked(task))), left)
            if ended is not None:
                return await self.run_now(*given, ended)
        async with holding(slots):
            return await self.run_now(*given)

    async def run_now(
        self,
        task: Any,
        task_id: str | None,
        received: float | None,
        deadline: float | None,
        journal: TaskJournal | None,
        watched: Watched | None,
        chunks: Chunks | None,
        ended: Exception | None = None,
    ) -> Result:
        """The same with a slot in hand; or only its Result, where it ``ended`` before it had one."""
        own = isinstance(task, TaskBase)
        step = self.begin(task, task_id, journal, chunks)
        scope = step.scope
        task_id, loop = scope.task_id, scope.loop
        now = step.started = scope.began
        work = asyncio.current_task(loop)
        cancelled_before = work.cancelling() if work is not None else 0
        if watched is not None:
            watched.step, watched.work = step, work
        if received is None:
            received = now
        at = deadline if step.task is None else deadline_of(step.task, deadline)
        value: Any = None
        error: BaseException | None = None
        raised = False
        running = self.running
        entry = (scope, work)
        if running.setdefault(task_id, entry) is not entry:
            running.join(task_id, entry)
        try:
            if ended is not None:
                raise ended
            if self.unwanted and task_id in self.unwanted:
                raise Cancelled(BY_ID)
            if at is not None:
                value = await self.run_until(at, step, task)
            elif self.answer is None and own:
                value = await self.compile(task).at(step)
            else:
                value = await self.run_plan(step, task)
        except asyncio.CancelledError as cancelled:
            raised = True
            error = Cancelled(str(cancelled) or "It raised CancelledError itself.")
            value = step.value
        except Exception as failed:
            error = failed
            value = failed.value if isinstance(failed, ChildrenFailed) else step.value
        except BaseException as lost:
            error = contained(lost)
            if error is lost:
                running.leave(task_id, entry)
                raise
            value = step.value
        if running.get(task_id) is entry:
            del running[task_id]
        else:
            running.leave(task_id, entry)
        if scope.cancelled:
            await absorb(raised=raised)
            error = Cancelled(BY_ID)
            raised = True
        if not raised and work is not None and work.cancelling() > cancelled_before:
            raised = True  # its code swallowed that
        if raised and own_cancellation():
            try:
                if scope.tasks:
                    await scope.close()
            finally:
                self.leave(scope)
            raise asyncio.CancelledError
        if scope.tasks:
            await self.closed(scope)
        step.finished = scope.now()
        kind = kind_of(task)
        try:
            result = result_of(step, value=value, error=error, received=received, kind=kind, task_id=task_id)
        except RecursionError:
            result = flattened(step, value=value, received=received, kind=kind, task_id=task_id)
        if scope.lent or scope.tasks or scope.threads:
            self.leave(scope)
        else:
            scope.journal = None  # which knows the record, which knows this: a cycle
        if journal is not None and journal.restarted:
            result = replace(result, possible_duplicate_calls=scope.repeated_before + scope.repeated)
        if watched is not None:
            step.status = result.status
        if self.listener is not None:
            scope.emit(TaskEnded(result))
        return result

    def begin(
        self, task: Any, task_id: str | None, journal: TaskJournal | None, chunks: Chunks | None
    ) -> Step:
        """The first step of a task, in a scope of its own."""
        scope = Scope(str(task_id) if task_id else id_of(task), self.cancel_grace)
        scope.slots = self.slots
        scope.listener = self.listener
        scope.compile = self.compile
        if self.of_tasks:
            vars(scope).update(self.of_tasks)
        if journal is not None:
            scope.journal = journal
            scope.park_after = self.park_after
        if chunks is not None:
            scope.chunks = chunks
        step = Step(scope)
        said = asked(task)
        if said is not None:
            step.task = said
            if said.priority is not None:
                step.priority = scope.priority = said.priority
        return step

    def cancel(self, task_id: str) -> bool:
        """End the tasks of that id that run now or wait for a slot, as ``cancelled``; False if there are none.

        What they run is cancelled and awaited. To be called where they run, on the loop's thread.
        """
        return self.running.cancel(task_id)

    def complete(self) -> None:
        """No more tasks are to come: what a topology's stream has gathered is answered."""
        if isinstance(self.answer, Stream):
            self.answer.complete()

    async def run_plan(self, step: Step, task: Any) -> Any:
        """What the topology says, or the task itself, run at this step."""
        if self.answer is None:
            single = self.compile(task) if isinstance(task, TaskBase) else as_single(task)
            return await single.at(step)
        if isinstance(task, TaskBase):
            refuse_fields(task, kind_of(task))
        token = current.set(step)
        try:
            plan = called(step.scope.now, self.answer, task)
            if isinstance(plan, CALLS):
                return await as_single(plan).at(step)
            return await resolve(step, plan)
        finally:
            restore(token)

    async def run_until(self, at: float, step: Step, task: Any) -> Any:
        """The same with a deadline, in seconds since the epoch; past it nothing is called."""
        scope = step.scope
        step.deadline = at - scope.epoch
        expired = TimedOut("The deadline has passed.", Category.DEADLINE)
        return await scope.bounded(self.run_plan(step, task), step.deadline - scope.now(), expired)


@cache
def default_engine() -> Engine:
    """The engine of scripts: the process's providers, no functions."""
    return Engine()


def run(task: Any) -> Result:
    """Answer one task in a script, by the process's providers: ``streamer.run(llm("Hello", model="echo:"))``."""
    return default_engine().run_sync(task)
