"""Where in a task we are: the identity of its steps, and how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from streamer.errors import Cancelled, Category, ChildrenFailed, TimedOut, contained
from streamer.limits import doze, held, wake
from streamer.scope import Scope, not_cancelled, own_cancellation

if TYPE_CHECKING:
    from streamer.call import Call
    from streamer.clocks import Pace
    from streamer.events import Outcome
    from streamer.limits import ExtraCalls
    from streamer.results import Attempt, Status, Usage
    from streamer.settled import Settled
    from streamer.single import Single
    from streamer.tasks import TaskBase

T = TypeVar("T")
ESCAPES = str.maketrans({"%": "%25", "/": "%2F", "~": "%7E", "#": "%23"})
"""What has a meaning in paths and ids, so that the names of children can't be taken for it."""

FORGOTTEN = (
    *("deadline", "priority", "started", "finished", "value", "error", "skipped", "winner", "answered"),
    *("outcome", "recalled", "certain", "agreement", "extra", "drawn", "total", "endless", "dropped"),
    *("settled", "leaving"),
)
"""What a step that is run once more does not keep."""


class Step:
    """A place in a task: where it stands, what it called, how it ended.

    ``path`` is its identity: ``/`` and a child's index or name per combinator; the calls that a function makes
    beyond its first have ``~2``, ``~3`` in the order they start (a registered function is itself the first).
    Running a step again (a retry) comes by the same steps, and goes on counting their attempts.

    ``deadline`` is on the loop's clock: the earliest of its own and those above. ``priority`` is its task's, else
    that of the nearest above that has one.
    """

    task: TaskBase | None = None
    kind: str | None = None
    tag: str | None = None
    deadline: float | None = None
    priority: int | None = None
    started: float | None = None
    finished: float | None = None
    value: Any = None
    error: BaseException | None = None
    skipped: str | None = None
    status: Status | None = None
    """Of the first step of a task that is watched: the task's."""
    winner: int | None = None
    agreement: float | None = None
    """Of a consensus, how many agree: a share of all that were asked."""
    named = False
    combines = False
    children: dict[int | str, Step] | None = None
    """Those that are under way, or have left something to know; all of them are its :func:`family`."""
    settled: Settled | None = None
    """The others that have ended."""
    leaving: tuple[Step, int] | None = None
    """Whose child it was, and which, once it is among those: a call that its function makes later brings it back."""
    total: int | None = None
    """How many children there will be, where they begin one by one; ``endless`` where nobody knows."""
    endless = False
    dropped = 0
    """How many children have ended that are not kept."""
    before = 0
    """How many attempts it may have had as a step that was not kept, so that it goes on counting them."""
    most = 0
    """The highest number of an attempt below children that are not kept."""
    calls: list[Step] | None = None
    called = 0
    working = 0
    inside = 0
    unrecorded = 0
    """Attempts that have begun and are not among ``attempts`` yet: one that outlives the grace keeps its number."""
    attempts: list[Attempt] | None = None
    answered: tuple[str, str | None, str | None, bool] | None = None
    first_token: float | None = None
    pace: Pace | None = None
    """Told of every token, where somebody waits for them."""
    subscribed: set[asyncio.Task[Any]] | None = None
    let_go: tuple[Usage | None, float | None] = (None, None)
    """What children have cost that are not kept: usage, and USD."""
    outcome: Outcome | None = None
    """What its task's journal remembers of its last attempt; ``recalled`` from an earlier run."""
    recalled = False
    certain = False
    """Whether no earlier run of its task can have come to its end."""
    races = 0
    """How often it was run, if it is a race."""
    retrying = False
    """Whether a ``retry`` of the topology stands here, so that the task's own does not hold."""
    extra: ExtraCalls | None = None
    """The retry budget of whom it called."""
    drawn = False
    """Whether its next attempt was drawn from the budgets."""
    calling: Call | None = None
    """The call that is made here now; it waits for its provider's slot until ``asked``, when its attempt began."""
    asked: float | None = None
    attempt_id: str | None = None
    resumes: float | None = None
    """When its back-off ends."""
    streaming = False
    """It waits for the answer of its topology's stream."""

    def __init__(self, scope: Scope, path: str = "", place: str | None = None) -> None:
        self.scope = scope
        self.path = path
        self.place = path if place is None else place
        """The path with every ``~1`` spelled out, which keeps the calls of a first call apart from its siblings."""

    def child(self, key: int | str, single: Single[Any]) -> Step:
        """The step of a combinator's child, which has not begun."""
        if self.children is None:
            self.children = {}
        step = self.children.get(key)
        if step is not None:
            step.anew()
        elif isinstance(key, str):
            step = self.children[key] = Step(self.scope, f"{self.path}/{key.translate(ESCAPES)}")
            step.tag = key
        else:
            step = self.children[key] = Step(self.scope, f"{self.path}/{key}")
        step.kind = single.kind
        step.task = single.task
        if self.deadline is not None:
            step.deadline = self.deadline
        if self.priority is not None:
            step.priority = self.priority
        if self.before:
            step.before = self.before
        return step

    def call(self) -> Step:
        """The step of the next call that a function makes."""
        if self.leaving is not None:
            parent, index = self.leaving
            self.leaving = None
            if parent.children is not None and index not in parent.children:
                parent.children[index] = self
        if self.calls is None:
            self.calls = []
        self.called += 1
        if self.called <= len(self.calls):
            step = self.calls[self.called - 1]
            step.anew()
        else:
            # of a leaf the attempts of its own stand at this path, so its calls begin with ~2
            number = self.called if self.attempts is None else self.called + 1
            place = f"{self.place}~{number}"
            step = Step(self.scope, self.path if number == 1 else place, place)
            self.calls.append(step)
        if self.deadline is not None:
            step.deadline = self.deadline
        if self.priority is not None:
            step.priority = self.priority
        if self.before:
            step.before = self.before
        return step

    def again(self) -> None:
        """The function begins anew: its calls are the same calls."""
        self.called = 0

    def anew(self) -> None:
        """It will be run once more: only what identifies it, what was called and what was paid for remain."""
        for name in FORGOTTEN:
            self.__dict__.pop(name, None)
        self.named = self.combines = False

    def stands_for(self, single: Single[Any]) -> None:
        """What runs here, and what its task says of it."""
        self.kind = single.kind
        task = self.task = single.task
        if task is not None and task.priority is not None:
            self.priority = task.priority

    async def run(self, single: Single[T]) -> T:
        """Run a Single here and remember how it ended."""
        scope = self.scope
        self.stands_for(single)
        self.started = scope.now()
        try:
            value = self.value = await single.at(self)
        except asyncio.CancelledError as error:
            if own_cancellation():
                self.error = error
                raise
            self.error = failure = Cancelled(str(error) or "It raised CancelledError itself.")
            raise failure from error
        except BaseException as error:
            self.error = contained(error)
            if isinstance(error, ChildrenFailed):
                self.value = error.value
            if self.error is not error:
                raise self.error from error
            raise
        finally:
            self.finished = scope.now()
            if scope.journal is not None:
                self.certain = certain.get() is scope
        return value

    async def make(self, single: Single[T]) -> T:
        """Run a Single as a call of the function at this step, which only waits meanwhile."""
        not_cancelled()
        call = self.call()
        if not self.working:
            return await call.run(single)
        self.inside += 1
        if self.inside == 1:
            self.scope.end()
        try:
            return await call.run(single)
        finally:
            await self.resume()

    async def resume(self) -> None:
        """The function goes on, with the slot in hand; what is cancelled only cleans up."""
        try:
            if self.inside == 1 and self.scope.lent and not own_cancellation():
                await self.scope.reclaim()
        finally:
            self.inside -= 1
            if not self.inside:
                self.scope.active += 1

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start what somebody subscribed to here; nobody awaits it, so that it is remembered."""
        task = self.scope.start(work)
        if self.subscribed is None:
            self.subscribed = set()
        self.subscribed.add(task)
        task.add_done_callback(self.subscribed.discard)
        return task

    def refuse(self, error: Exception) -> None:
        """It ends before it begins."""
        self.started = self.finished = self.scope.now()
        self.error = error

    def due(self) -> bool:
        """Whether its deadline has passed."""
        return self.deadline is not None and self.scope.now() >= self.deadline

    async def pause(self, seconds: float) -> None:
        """Back off, without a slot. With a deadline before its end there is no use in it: it raises at once."""
        if self.deadline is not None and self.scope.now() + seconds >= self.deadline:
            raise TimedOut("The deadline comes before the next attempt.", Category.DEADLINE)
        self.resumes = self.scope.now() + seconds
        hold = held.get() if self.scope.holds else None
        doze(hold)
        try:
            await self.scope.sleep(seconds)
        finally:
            wake(hold)
            self.resumes = None


class Watched(Protocol):
    """What lets others look at the task that runs for it: they walk its steps when they like, at no cost to it."""

    step: Step | None
    work: asyncio.Task[Any] | None
    """What runs it."""


certain: ContextVar[Scope | None] = ContextVar("streamer_certain", default=None)
"""Set to a scope where no earlier run of its task can have come: behind an attempt that none had remembered.

It holds along one line of execution only. What ran beside it, or in another run may have been cut short by a
timeout, proves nothing: then a call counts as one that may have been made before.
"""
current: ContextVar[Step | None] = ContextVar("streamer_step", default=None)


def restore(token: Token[Step | None]) -> None:
    """Set what was current before; a coroutine that is thrown away unfinished ends in another context."""
    try:  # noqa: SIM105 - suppress() takes longer than the rest of a call
        current.reset(token)
    except ValueError:
        pass
