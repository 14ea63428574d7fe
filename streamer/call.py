"""One call of something that answers: its slot, its clock, its record."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from copy import copy
from datetime import UTC, datetime
from typing import Any, Self

from msgspec import UNSET

from streamer.clocks import Pace, paced
from streamer.errors import (
    CallFailed,
    Cancelled,
    Category,
    ChildrenFailed,
    Skipped,
    TimedOut,
    category_of,
    contained,
)
from streamer.events import Answer, AttemptEnded, AttemptStarted, Outcome, TaskJournal
from streamer.limits import ExtraCalls, Joint, Limit, held, within
from streamer.providers.protocol import Response
from streamer.remembering import Entry, rebuilt
from streamer.results import Attempt, Status
from streamer.scope import own_cancellation
from streamer.single import Single
from streamer.spending import draw
from streamer.step import Step
from streamer.tasks import TaskBase, Timeouts


class Call(Single[Any]):
    """A leaf: each run of it is one attempt.

    A slot of the provider is held from before the call until it has really ended, cancelled or not; the clock
    starts when the slot is in hand. ``perform`` is what a kind of leaf does, and it gives the slot back.

    What is ``journaled`` is answered from its task's journal where that remembers the attempt; where it doesn't,
    nothing is called before all that was noted is durable.
    """

    limit: Limit | Joint | None = None
    """What its slot is asked of, where that is held around it already and ``slots`` is only a share in that."""
    journaled = False
    extra: ExtraCalls | None = None
    """The retry budget of whom it calls."""
    prompt_end = True
    """Whether a cancelled call ends at once, so that its clock needs no asyncio task of its own."""

    def __init__(
        self,
        name: str,
        model: str | None,
        slots: Limit | Joint | None,
        clocks: Timeouts | None,
        task: TaskBase | None,
    ) -> None:
        self.name = name
        self.model = model
        self.slots = slots
        self.clocks = clocks
        self.task = task

    @property
    def asks(self) -> str:
        return f"{self.name}:{self.model}"

    @abstractmethod
    async def perform(self, step: Step, attempt_id: str) -> Any:
        """Make the call; a Response, or the value itself."""

    @abstractmethod
    def question(self) -> Any:
        """What is asked whom, to be recognised by in a journal."""

    async def at(self, step: Step) -> Any:
        """Make one attempt and record it; or recall one."""
        scope = step.scope
        slots = self.slots
        hold = held.get() if scope.holds else None
        if slots is not None and (hold is not None or slots is scope.slots):
            shared = within(slots, hold, scope)
            if shared is not slots:
                return await Call.at(self.inside(shared), step)
        journal = scope.journal
        entry: Entry | None = None
        if journal is not None:
            if self.journaled:
                entry = Entry(journal, step, self.question())
                outcome = entry.recall()
                if outcome is not None:
                    return self.recalled(step, outcome)
                if journal.unsettled:
                    await journal.settle()
            if journal.unsure or journal.gone:
                await still_ours(journal)
        if scope.lent:
            await scope.reclaim()
        if hold is not None and not hold.join():
            await hold.begin()
        scope.active += 1
        step.calling = self
        try:
            if step.deadline is not None and step.due():
                raise TimedOut("The deadline has passed.", Category.DEADLINE)
            if scope.closed:
                raise Cancelled("Its task has its result already.")
            if step.attempts is None:
                step.attempts = []
            elif step.attempts:
                draw(step, self.extra)
            if self.extra is not None:
                step.extra = self.extra
                self.extra.called(scope.now())
            if slots is not None and not slots.take():
                await self.queue(step, slots)
                if journal is not None:
                    try:
                        await still_ours(journal)
                    except BaseException:
                        slots.give()
                        raise
            number = (
                entry.number if entry is not None else step.before + len(step.attempts) + step.unrecorded + 1
            )
            step.unrecorded += 1
            attempt_id = step.attempt_id = f"{scope.task_id}{step.path}#{number}"
            if entry is not None:
                entry.begins()
            if scope.listener is not None:
                scope.emit(AttemptStarted(scope.task_id, attempt_id, self.name, self.model))
            started = step.asked = scope.now()
            try:
                if self.clocks is None:
                    response = await self.perform(step, attempt_id)
                else:
                    response = await self.clocked(step, attempt_id, self.clocks)
            except BaseException as error:
                failure = self.failed(error)
                attempt = self.record(step, attempt_id, started, None, failure)
                if entry is not None:
                    entry.failed(attempt, failure)
                if failure is error:
                    raise
                raise failure from error
            attempt = self.record(step, attempt_id, started, response, None)
            if entry is not None:
                entry.answered(attempt, answer_of(response))
        finally:
            if entry is not None:
                entry.ends()
            step.calling = step.asked = None
            scope.active -= 1
            if scope.sleeping:
                scope.rest()
            if hold is not None:
                hold.end()
        if type(response) is Response:
            step.answered = (
                self.name,
                response.model or self.model,
                response.finish_reason,
                response.degraded,
            )
            return response.text if response.value is UNSET else response.value
        step.answered = (self.name, self.model, None, False)
        return response

    def recalled(self, step: Step, outcome: Outcome) -> Any:
        """The answer of an earlier run, or its failure raised."""
        if step.attempts is None:
            step.attempts = []
        step.attempts.append(outcome.attempt)
        answer = outcome.answer
        if answer is None:
            raise rebuilt(outcome, step.scope)
        step.answered = (self.name, answer.model or self.model, answer.finish_reason, answer.degraded)
        return answer.text if answer.value is UNSET else answer.value

    def inside(self, slots: Limit | Joint) -> Self:
        """The same call in a slot that its task holds already."""
        call = copy(self)
        call.limit, call.slots = self.slots, slots
        return call

    async def queue(self, step: Step, slots: Limit | Joint) -> None:
        """Wait for a slot."""
        seconds = self.clocks.queue if self.clocks is not None else None
        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                await slots.acquire(step.priority)
        except TimeoutError as error:
            said = f"No slot of {self.name} within {seconds:g} s (queue)."
            raise TimedOut(said, provider=self.name) from error

    async def clocked(self, step: Step, attempt_id: str, clocks: Timeouts) -> Any:
        """The same, as long as no clock runs out."""
        if clocks.first_token is not None or clocks.between_tokens is not None:
            step.pace = Pace(step.scope.now(), clocks)
            return await paced(step.scope, self.perform(step, attempt_id), step.pace, self.name)
        seconds = clocks.attempt
        if seconds is None:
            return await self.perform(step, attempt_id)
        expired = TimedOut(f"No answer within {seconds:g} s.", provider=self.name)
        if not self.prompt_end:
            return await step.scope.bounded(self.perform(step, attempt_id), seconds, expired)
        timer = asyncio.timeout(seconds)
        try:
            async with timer:
                return await self.perform(step, attempt_id)
        except TimeoutError as error:
            if timer.expired():
                raise expired from error
            raise

    def failed(self, error: BaseException) -> BaseException:
        """What the error of a call counts as."""
        if isinstance(error, asyncio.CancelledError) and not own_cancellation():
            return Cancelled(str(error) or "It raised CancelledError itself.")
        return contained(error)

    def owed(self, step: Step, error: BaseException) -> Any:
        """What knows the cost of a failure: itself, unless calls below have counted it."""
        return error if isinstance(error, CallFailed) and not step.calls else None

    def record(
        self, step: Step, attempt_id: str, started: float, response: Any, error: BaseException | None
    ) -> Attempt:
        """Remember the attempt, and tell of it."""
        scope = step.scope
        whole = type(response) is Response
        paid = response if whole else None
        if error is not None:
            paid = self.owed(step, error)
        attempt = Attempt(
            id=attempt_id,
            provider=self.name,
            model=(response.model if whole else None) or self.model,
            outcome=Status.SUCCEEDED if error is None else status_of(error, step),
            category=None if error is None else reason_of(error, step),
            started_at=datetime.fromtimestamp(scope.epoch + started, UTC),
            duration=scope.now() - started,
            time_to_first_token=step.first_token - started if step.first_token is not None else None,
            usage=paid.usage if paid is not None else None,
            cost=paid.cost if paid is not None else None,
            violations=(),
        )
        step.first_token = None
        if self.clocks is not None:
            step.pace = None
        assert step.attempts is not None
        step.attempts.append(attempt)
        step.unrecorded -= 1
        if scope.listener is not None:
            scope.emit(AttemptEnded(scope.task_id, attempt))
        if scope.chunks is not None and self.kind == "llm":
            scope.chunks.ended(scope.task_id, attempt_id, response, error)
        return attempt


async def still_ours(journal: TaskJournal) -> None:
    """Return once a call may begin: when it is sure that its task still is this worker's."""
    if journal.unsure:
        await journal.settle()
    if journal.gone:
        raise Cancelled("Its task is not this worker's any more.")


def answer_of(response: Any) -> Answer:
    """What of a response is remembered."""
    if type(response) is not Response:
        return Answer(value=response)
    return Answer(
        text=response.text,
        value=response.value,
        model=response.model,
        finish_reason=response.finish_reason,
        degraded=response.degraded,
    )


def status_of(error: BaseException | None, step: Step) -> Status:
    """The status that an outcome of a step has; what its deadline cancelled is timed out."""
    if error is None:
        return Status.SUCCEEDED
    if isinstance(error, TimedOut):
        return Status.TIMED_OUT
    if isinstance(error, asyncio.CancelledError):
        return Status.TIMED_OUT if step.due() else Status.CANCELLED
    if isinstance(error, Cancelled):
        return Status.CANCELLED
    if isinstance(error, ChildrenFailed) and category_of(error) is Category.DEADLINE and step.due():
        return Status.TIMED_OUT
    return Status.SKIPPED if isinstance(error, Skipped) else Status.FAILED


def reason_of(error: BaseException, step: Step) -> Category:
    """The category of such an outcome."""
    if isinstance(error, asyncio.CancelledError) and step.due():
        return Category.DEADLINE
    return category_of(error)
