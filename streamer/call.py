"""One call of something that answers: its slot, its clock, its record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any

from msgspec import UNSET

from streamer.errors import CallFailed, Cancelled, Category, TimedOut, category_of
from streamer.events import AttemptEnded, AttemptStarted
from streamer.limits import Slots
from streamer.providers.protocol import Chunk, Provider, Request, Response
from streamer.results import Attempt, Status
from streamer.scope import Step, own_cancellation
from streamer.single import Single
from streamer.tasks import Message, TaskBase


class Call(Single[Any]):
    """A leaf: each run of it is one attempt.

    A slot of the provider is held from before the call until it has really ended, cancelled or not; the clock
    starts when the slot is in hand. ``perform`` is what a kind of leaf does, and it gives the slot back.
    """

    prompt_end = True
    """Whether a cancelled call ends at once, so that its clock needs no asyncio task of its own."""

    def __init__(
        self, name: str, model: str | None, slots: Slots | None, clock: float | None, task: TaskBase | None
    ) -> None:
        super().__init__(self.attempt, self.kind)
        self.name = name
        self.model = model
        self.slots = slots
        self.clock = clock
        self.task = task

    async def perform(self, step: Step, attempt_id: str) -> Any:
        """Make the call; a Response, or the value itself."""
        raise NotImplementedError

    async def attempt(self, step: Step) -> Any:
        """Make one attempt and record it."""
        scope = step.scope
        if scope.lent:
            await scope.reclaim()
        if scope.deadline is not None and scope.loop.time() >= scope.deadline:
            raise TimedOut("The deadline has passed.", Category.DEADLINE)
        slots = self.slots
        scope.active += 1
        try:
            if slots is not None and not slots.take():
                await slots.acquire()
            if step.attempts is None:
                step.attempts = []
            attempt_id = f"{scope.task_id}{step.path}#{len(step.attempts) + 1}"
            if scope.listener is not None:
                scope.emit(AttemptStarted(scope.task_id, attempt_id, self.name, self.model))
            started = scope.loop.time()
            try:
                if self.clock is None:
                    response = await self.perform(step, attempt_id)
                else:
                    response = await self.clocked(step, attempt_id, self.clock)
            except BaseException as error:
                failure = self.failed(error)
                self.record(step, attempt_id, started, None, failure)
                if failure is error:
                    raise
                raise failure from error
            self.record(step, attempt_id, started, response, None)
        finally:
            scope.active -= 1
            if scope.sleeping and not scope.active:
                scope.lend()
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

    async def clocked(self, step: Step, attempt_id: str, seconds: float) -> Any:
        """The same, at most so long."""
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
        return error

    def record(
        self, step: Step, attempt_id: str, started: float, response: Any, error: BaseException | None
    ) -> None:
        """Remember the attempt, and tell of it."""
        scope = step.scope
        whole = type(response) is Response
        paid = response if whole else None
        if isinstance(error, CallFailed) and not step.calls:  # else its calls have counted it
            paid = error
        attempt = Attempt(
            id=attempt_id,
            provider=self.name,
            model=(response.model if whole else None) or self.model,
            outcome=status_of(error),
            category=None if error is None else category_of(error),
            started_at=datetime.fromtimestamp(scope.epoch + started, UTC),
            duration=scope.loop.time() - started,
            time_to_first_token=step.first_token - started if step.first_token is not None else None,
            usage=paid.usage if paid is not None else None,
            cost=paid.cost if paid is not None else None,
            violations=(),
        )
        step.first_token = None
        assert step.attempts is not None
        step.attempts.append(attempt)
        if scope.listener is not None:
            scope.emit(AttemptEnded(scope.task_id, attempt))


class ProviderCall(Call):
    """A call of a model."""

    kind = "llm"

    def __init__(
        self,
        provider: Provider,
        name: str,
        model: str | None,
        slots: Slots | None,
        messages: tuple[Message, ...],
        parameters: dict[str, Any],
        task: TaskBase | None = None,
        clock: float | None = None,
    ) -> None:
        super().__init__(name, model, slots, clock, task)
        self.provider = provider
        self.messages = messages
        self.parameters = parameters
        self.prompt_end = getattr(provider, "ends_when_cancelled", False)
        self.context_window = getattr(provider, "context_window", None)

    def copy(self, messages: tuple[Message, ...], clock: float | None) -> ProviderCall:
        return ProviderCall(
            self.provider, self.name, self.model, self.slots, messages, self.parameters, self.task, clock
        )

    def bounded(self, seconds: float) -> Single[Any]:
        return self.copy(self.messages, seconds if self.clock is None else min(seconds, self.clock))

    def given(self, previous: Any) -> Single[Any]:
        from streamer.providers.conversation import handed_over

        return self.copy(handed_over(self.messages, previous), self.clock)

    async def perform(self, step: Step, attempt_id: str) -> Any:
        slots = self.slots
        try:
            answer = self.provider.answer(
                Request(
                    messages=self.messages,
                    model=self.model,
                    parameters=self.parameters,
                    attempt_id=attempt_id,
                )
            )
            if isawaitable(answer):
                return await answer
            if isinstance(answer, AsyncIterator):
                return await whole(answer, step)
            return answer
        except CallFailed as error:
            if error.provider is None:
                error.provider = self.name
            if error.context_window is None:
                error.context_window = self.context_window
            raise
        finally:
            if slots is not None:
                slots.give()


async def whole(chunks: AsyncIterator[Any], step: Step) -> Response:
    """Gather a stream into a whole answer; one that ends without a finish reason is cut, and a failure.

    A stream of plain text is whole when it ends. The stream is closed however this ends.
    """
    parts: list[str] = []
    last: Chunk | None = None
    usage = cost = model = None
    value: Any = UNSET
    degraded = plain = False
    try:
        async for chunk in chunks:
            if step.first_token is None:
                step.first_token = step.scope.loop.time()
            if isinstance(chunk, str):
                plain = True
                parts.append(chunk)
                continue
            parts.append(chunk.text)
            value = chunk.value if chunk.value is not UNSET else value
            usage = chunk.usage or usage
            cost = chunk.cost if chunk.cost is not None else cost
            model = chunk.model or model
            degraded = degraded or chunk.degraded
            if chunk.finish_reason is not None:
                last = chunk
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
    if last is None and not plain:
        message = "The stream ended without a finish reason: the answer is not whole."
        raise CallFailed(Category.INVALID_RESPONSE, message, usage=usage, cost=cost)
    reason = last.finish_reason if last is not None else None
    return Response(
        text="".join(parts),
        value=value,
        finish_reason=reason,
        usage=usage,
        cost=cost,
        model=model,
        degraded=degraded,
    )


def status_of(error: BaseException | None) -> Status:
    """The status that an outcome has."""
    if error is None:
        return Status.SUCCEEDED
    if isinstance(error, TimedOut):
        return Status.TIMED_OUT
    if isinstance(error, Cancelled | asyncio.CancelledError):
        return Status.CANCELLED
    return Status.FAILED
