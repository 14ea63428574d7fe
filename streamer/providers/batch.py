"""One call for many: when it begins, who waits for it, what each has of its answer and of its cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Set
from contextvars import Context
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from msgspec import UNSET
from msgspec.structs import replace

from streamer.attempts import add, made
from streamer.errors import CallFailed, Cancelled, Category, StreamerError
from streamer.limits import Hold, Limit, RunSlot, held
from streamer.providers.gathering import Gathering
from streamer.providers.protocol import Response
from streamer.results import Usage
from streamer.scope import Scope
from streamer.single import Single
from streamer.step import Step

if TYPE_CHECKING:
    from streamer.tasks import TaskBase

Ask = Callable[[list[Any]], Single[Any]]
Compile = Callable[["TaskBase"], Single[Any]]


class Place:
    """An item's place in a batch; to its call what a slot is: it waits for it before its attempt begins."""

    __slots__ = ("answer", "batch", "batches", "begun", "hold", "item", "scope", "share")
    limit = None
    """There are as many as are asked for."""

    def __init__(self, batches: Batches, item: Any, scope: Scope) -> None:
        self.batches = batches
        self.item = item
        self.scope = scope
        self.hold = held.get() if scope.holds else None
        self.begun: asyncio.Future[None] = scope.loop.create_future()
        self.answer: asyncio.Future[Any] = scope.loop.create_future()
        self.batch: Batch | None = None
        self.share = Response()
        """What it costs, of what the whole batch does; who answered."""

    def limits(self) -> list[Limit]:
        """Those of which a slot is held around it."""
        found = [] if self.scope.slots is None else [self.scope.slots]
        hold: Hold | RunSlot | None = self.hold
        while isinstance(hold, Hold):
            found.append(hold.limit)
            hold = hold.around
        return found

    def take(self) -> bool:
        """There is always something to wait for: others."""
        return False

    async def acquire(self, priority: int | None = None) -> None:
        """Wait until the call begins; when cancelled, the place is free."""
        del priority  # a batch takes those that have waited longest
        self.batches.join(self)
        try:
            await self.begun
        except asyncio.CancelledError:
            await self.leave()
            raise

    async def element(self) -> Any:
        """Wait for the answer to this item, or its failure raised."""
        try:
            return await self.answer
        except asyncio.CancelledError:
            await self.leave()
            raise

    def owes(self, usage: Usage | None, cost: float | None) -> None:
        """What its own element says that it cost, besides."""
        share = self.share
        self.share = replace(share, usage=add(share.usage, usage), cost=add(share.cost, cost))

    def tell(self, answer: Any) -> None:
        """Hand its answer over; an exception is its failure."""
        if self.answer.done():
            return
        if isinstance(answer, asyncio.CancelledError):
            answer = Cancelled(str(answer) or "Its answer is a CancelledError.")
        elif isinstance(answer, StopIteration):
            answer = StreamerError(repr(answer))  # a future refuses it
        if isinstance(answer, BaseException):
            self.answer.set_exception(answer)
            self.answer.exception()  # seen: whoever waits may be cancelled in this very moment
        else:
            self.answer.set_result(answer)

    async def leave(self) -> None:
        """Nobody waits for it any more; a call for which nobody does is cancelled, and awaited within the grace."""
        if self.batch is None:
            self.batches.leave(self)
            return
        self.batch.places.pop(self, None)
        if not self.batch.places and not self.batch.task.done():
            self.batch.task.cancel()
            await self.scope.outlast({self.batch.task})


class Batches:
    """The items of one ``batched`` that wait, and its calls that run."""

    def __init__(self, name: str, ask: Ask, gathering: Gathering[Place]) -> None:
        self.name = name
        self.ask = ask
        self.gathering = gathering
        self.timer: asyncio.TimerHandle | None = None

    def join(self, place: Place) -> None:
        loop = place.scope.loop
        if self.gathering.join(place, loop.time()):
            self.look(loop, loop.time())
        else:
            self.arm(loop)

    def leave(self, place: Place) -> None:
        self.gathering.leave(place)
        self.arm(place.scope.loop)

    def look(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        """Begin what is to begin now."""
        while places := self.gathering.next(now):
            Batch(self, places, loop)
        self.arm(loop)

    def arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look again when the next batch is due, full or not."""
        due = self.gathering.due
        if self.timer is not None:
            if self.timer.when() == due:
                return
            self.timer.cancel()
            self.timer = None
        if due is not None:
            self.timer = loop.call_at(due, self.over, loop, due)

    def over(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.timer = None
        self.look(loop, due)


class Batch:
    """One call that runs, in a scope of its own; ``places`` are those who wait for it still."""

    def __init__(self, batches: Batches, places: list[Place], loop: asyncio.AbstractEventLoop) -> None:
        self.batches = batches
        self.places = dict.fromkeys(places)
        self.items = [place.item for place in places]
        self.order = places
        # no one's context: what is current to one of them is not to the others
        self.task = loop.create_task(self.run(places[0].scope.compile), context=Context())
        self.task.add_done_callback(self.ended)
        for place in places:
            place.batch = self
            if not place.begun.done():
                place.begun.set_result(None)

    async def run(self, compile: Compile | None) -> None:
        """Ask for all of them, and tell each."""
        scope = Scope(f"batch-{uuid4()}")
        scope.compile = compile
        lean_on(self.order, scope)
        step = Step(scope)
        answers: list[Any] = []
        error: Exception | None = None
        paid = Response()
        try:
            whole = await step.run(self.batches.ask(self.items))
            if type(whole) is Response:
                paid, whole = whole, whole.text if whole.value is UNSET else whole.value
            answers = self.listed(whole)
        except Exception as failure:
            error = failure
        finally:
            if scope.tasks:
                await scope.close()
        self.share(step, paid, error)
        for place, answer in zip(self.order, answers or [error] * len(self.items), strict=True):
            if answer is not error and isinstance(answer, Response | CallFailed):
                place.owes(answer.usage, answer.cost)
            place.tell(answer)

    def listed(self, answers: Any) -> list[Any]:
        """The answers, one for each item; else a failure of all."""
        name = self.batches.name
        if isinstance(answers, str | bytes | Mapping | Set) or not isinstance(answers, Iterable):
            raise CallFailed(
                Category.INVALID_RESPONSE,
                f"{name} answers a list of items with a list of as many answers, not with {type(answers).__name__}.",
            )
        found = list(answers)
        if len(found) != len(self.items):
            raise CallFailed(
                Category.INVALID_RESPONSE, f"{name} gave {len(found)} answers to {len(self.items)} items."
            )
        return found

    def share(self, step: Step, paid: Response, error: Exception | None) -> None:
        """Divide what it cost by those who wait for it still, so that their sum is what was paid."""
        usage, cost, answered = paid.usage, paid.cost, step.answered
        attempts = list(made(step))
        if not attempts and isinstance(error, CallFailed):
            usage, cost = error.usage, error.cost
        for attempt in attempts:
            usage, cost = add(usage, attempt.usage), add(cost, attempt.cost)
        if answered is None and step.calls:
            answered = step.calls[-1].answered
        model, degraded = (answered[1], answered[3]) if answered else (paid.model, paid.degraded)
        count = len(self.places)
        for index, place in enumerate(self.places):
            place.share = Response(
                usage=None if usage is None else part(usage, index, count),
                cost=None if cost is None else cost / count,
                model=model,
                finish_reason=None,
                degraded=degraded,
            )

    def ended(self, task: asyncio.Task[None]) -> None:
        """It is over, in whatever way: nobody waits any more, and another may begin."""
        batches, loop = self.batches, task.get_loop()
        error = None if task.cancelled() else task.exception()
        for place in self.places:
            place.tell(error or Cancelled("The call that it shared was cancelled."))
        batches.gathering.ended()
        batches.look(loop, loop.time())


def lean_on(places: list[Place], scope: Scope) -> None:
    """Have the call share the slots that all who wait for it hold, so that none waits for his own."""
    others = [place.limits() for place in places[1:]]
    for limit in places[0].limits():
        if all(limit in limits for limits in others):
            hold = Hold(limit, held.get() or scope, limit, None)
            hold.lent, hold.active = False, 1
            held.set(hold)
            scope.holds = True


def part(usage: Usage, index: int, count: int) -> Usage:
    """One of ``count`` parts of a usage; all of them add up to it."""

    def of(tokens: int) -> int:
        return tokens * (index + 1) // count - tokens * index // count

    return replace(
        usage,
        input_tokens=of(usage.input_tokens),
        output_tokens=of(usage.output_tokens),
        cached_input_tokens=of(usage.cached_input_tokens),
        reasoning_tokens=of(usage.reasoning_tokens),
    )
