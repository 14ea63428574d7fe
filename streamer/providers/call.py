"""A call of a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from inspect import isawaitable
from types import CoroutineType
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from streamer.call import Call
from streamer.clocks import tightest, unfit
from streamer.errors import CallFailed, Category
from streamer.limits import Joint, Limit, depart, enter
from streamer.operators.deadline import until
from streamer.operators.retry import Attempts
from streamer.providers.conversation import handed_over
from streamer.providers.protocol import Chunk, Provider, Request, Response
from streamer.single import Single
from streamer.step import Step
from streamer.tasks import Message, TaskBase, Timeouts

PIECES = (str, Chunk)


class ProviderCall(Call):
    """A call of a provider with a conversation; whole or as a stream is the provider's choice."""

    kind = "llm"

    def __init__(
        self,
        provider: Provider,
        name: str,
        model: str | None,
        slots: Limit | Joint | None,
        messages: tuple[Message, ...],
        parameters: dict[str, Any],
        task: TaskBase | None = None,
        clocks: Timeouts | None = None,
        journaled: bool = True,
        nests: bool = False,
    ) -> None:
        super().__init__(name, model, slots, clocks, task)
        self.journaled = journaled
        self.nests = nests
        """Whether its provider is code that may ask for a slot of the same limit."""
        self.provider = provider
        self.messages = messages
        self.parameters = parameters
        self.prompt_end = getattr(provider, "ends_when_cancelled", False)
        self.context_window = getattr(provider, "context_window", None)

    def copy(self, messages: tuple[Message, ...], clocks: Timeouts | None) -> ProviderCall:
        call = type(self)(
            self.provider,
            self.name,
            self.model,
            self.slots,
            messages,
            self.parameters,
            self.task,
            clocks,
            self.journaled,
            self.nests,
        )
        if self.extra is not None:
            call.extra = self.extra
        if self.retries is not None:
            call.retries = self.retries
        return call

    def question(self) -> Any:
        return self.name, self.model, self.messages, self.parameters

    def bounded(self, clocks: Timeouts) -> Single[Any]:
        why = unfit(clocks, self.provider, self.name)
        if why is not None:
            raise ValueError(why)
        return self.copy(self.messages, tightest(self.clocks, clocks))

    def given(self, previous: Any) -> Single[Any]:
        return self.copy(handed_over(self.messages, previous), self.clocks)

    async def perform(self, step: Step, attempt_id: str) -> Any:
        slots = self.slots
        inside = enter(self.limit or slots, slots, step.scope) if self.nests and slots is not None else None
        try:
            request = Request(
                messages=self.messages,
                model=self.model,
                parameters=self.parameters,
                attempt_id=attempt_id,
                stream=step.scope.chunks is not None,
            )
            if self.clocks is not None:
                stream, connect = request.stream or step.pace is not None, self.clocks.connect
                request = replace(request, stream=stream, connect_timeout=connect)
            answer = self.provider.answer(request)
            if type(answer) is CoroutineType or isawaitable(answer):
                answer = await answer
            if type(answer) is not Response and isinstance(answer, AsyncIterator):
                return await whole(answer, step)
            return answer
        except CallFailed as error:
            error.provider = self.name  # the name that its attempts have
            if error.context_window is None:
                error.context_window = self.context_window
            raise
        finally:
            if inside is not None:
                depart(inside)
            if slots is not None:
                slots.give()


class OwnCall(ProviderCall):
    """A call whose task says more than its question: until when, or, as its topology may, how it is retried.

    A ``retry`` that is put around it is nearer.
    """

    def at(self, step: Step) -> Coroutine[Any, Any, Any]:
        at = None if self.task is None else self.task.deadline
        return self.attempted(step) if at is None else until(at.timestamp(), step, self.attempted)

    def attempted(self, step: Step) -> Coroutine[Any, Any, Any]:
        if self.retries is None or step.retrying:
            return super().at(step)
        return Attempts(self.retries).made(step, super().at)


async def whole(chunks: AsyncIterator[Any], step: Step) -> Response:
    """Gather a stream into a whole answer; one that ends without a finish reason is cut, and a failure.

    A stream of plain text is whole when it ends. The stream is closed however this ends.
    """
    parts: list[str] = []
    last: Chunk | None = None
    usage = cost = model = None
    value: Any = UNSET
    degraded = chunked = False
    told = step.scope.chunks
    pace = step.pace
    try:
        async for chunk in chunks:
            if step.first_token is None:
                step.first_token = step.scope.now()
            if not isinstance(chunk, PIECES):
                raise TypeError(f"A provider's stream is of texts and Chunks, not of {type(chunk).__name__}.")
            if told is not None and step.attempt_id is not None:
                told.delta(
                    step.scope.task_id, step.attempt_id, chunk if isinstance(chunk, str) else chunk.text
                )
            if pace is not None:
                pace.last = step.scope.now()
            if isinstance(chunk, str):
                parts.append(chunk)
                continue
            chunked = True
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
    if last is None and (chunked or not parts):
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
