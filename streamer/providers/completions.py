"""The wire format of chat completions: bytes in, an answer or what is wrong with it out."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct

from streamer.errors import CallFailed, Category
from streamer.providers.failures import UNREADABLE, Failures
from streamer.providers.protocol import Chunk, Response
from streamer.results import Usage


class Said(Struct, frozen=True, gc=False):
    """A message of an answer, or a piece of one."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Choice(Struct, frozen=True, gc=False):
    """One of the answers; whole ones have a message, streamed ones a delta."""

    index: int = 0
    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    error: Any = None


class Completion(Struct, frozen=True, gc=False):
    """A whole answer, or one event of a streamed one. What nobody needs to be right is not judged."""

    object: Any = None
    model: Any = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None


class Bill(Struct, frozen=True, gc=False):
    """What is left of an answer that can't be read."""

    usage: Any = None


DECODER = msgspec.json.Decoder(Completion)
BILL = msgspec.json.Decoder(Bill)


def read(body: bytes, failures: Failures) -> Response:
    """The answer in a whole body; :class:`CallFailed` where it is none, with the usage that it tells."""
    name = failures.provider
    try:
        completion = DECODER.decode(body)
    except UNREADABLE as error:
        raise failures.invalid(f"{name} answered what cannot be read: {error}", billed(body)) from error
    usage = usage_of(completion.usage)
    if completion.error is not None:
        raise failures.in_band(completion.error, usage)
    choice = first(completion)
    if choice is not None and choice.error is not None:
        raise failures.in_band(choice.error, usage)
    if choice is None or choice.message is None or choice.finish_reason is None:
        missing = "choices" if choice is None else "message" if choice.message is None else "finish_reason"
        raise failures.invalid(f"{name} answered without {missing}: the answer is not whole.", usage)
    said = choice.message
    text = text_of(said.content)
    check(failures, choice.finish_reason, text, said.refusal, usage)
    return Response(
        text=text,
        value={"text": text, "tool_calls": said.tool_calls} if said.tool_calls else UNSET,
        model=model_of(completion),
        finish_reason=choice.finish_reason,
        usage=usage,
    )


class Told:
    """What a stream has told so far.

    Invariants: once ``done`` nothing more is expected; it ends as a success only with a finish reason.
    """

    __slots__ = ("counted", "degraded", "done", "failures", "finish_reason", "model", "refusal", "spoke")

    def __init__(self, failures: Failures) -> None:
        self.failures = failures
        self.finish_reason: str | None = None
        self.model: str | None = None
        self.counted: Any = None
        self.refusal = ""
        self.degraded = False
        self.spoke = False
        self.done = False

    @property
    def usage(self) -> Usage | None:
        """Tokens as counted so far; most servers tell them once, at the end."""
        return usage_of(self.counted)

    def take(self, data: str) -> str:
        """The text of one event; an error inside the stream is raised."""
        if self.done:
            return ""
        if data == "[DONE]":
            self.done = True
            return ""
        try:
            event = DECODER.decode(data)
        except UNREADABLE:
            self.degraded = True
            return ""
        if event.usage is not None:
            self.counted = event.usage
        if event.error is not None or event.object == "error":
            error = event.error if event.error is not None else msgspec.json.decode(data)
            raise self.failures.in_band(error, self.usage)
        choice = first(event)
        if choice is None:
            return ""
        if choice.error is not None:
            raise self.failures.in_band(choice.error, self.usage)
        if choice.finish_reason is not None:
            self.finish_reason = choice.finish_reason
            self.model = model_of(event)
        said = choice.delta
        if said is None:
            return ""
        if said.tool_calls:
            what = "called tools in a stream that offered none: the answer is not whole"
            raise self.failures.invalid(f"{self.failures.provider} {what}.", self.usage)
        if said.refusal:
            self.refusal += said.refusal
        text = text_of(said.content)
        self.spoke = self.spoke or bool(text)
        return text

    def end(self) -> Chunk:
        """The last chunk; a failure where the answer is not whole."""
        usage = self.usage
        if self.finish_reason is None:
            what = "ended without a finish reason: the answer is not whole"
            raise self.failures.invalid(f"The stream of {self.failures.provider} {what}.", usage)
        check(self.failures, self.finish_reason, self.spoke, self.refusal, usage)
        return Chunk(model=self.model, finish_reason=self.finish_reason, usage=usage, degraded=self.degraded)


def check(
    failures: Failures, finish_reason: str, text: object, refusal: str | None, usage: Usage | None
) -> None:
    """Refuse an answer that was withheld."""
    if finish_reason == "content_filter" or (refusal and not text):
        why = f"{failures.provider} withheld the answer ({finish_reason})"
        message = failures.sentence(why, (), refusal or "")
        raise CallFailed(Category.CONTENT_FILTER, message, provider=failures.provider, usage=usage)
    if finish_reason == "error":
        raise failures.in_band("the finish reason is 'error'", usage)


def first(completion: Completion) -> Choice | None:
    """The answer with the index 0, for a call has one."""
    for choice in completion.choices or ():
        if choice.index == 0:
            return choice
    return None


def text_of(content: str | list[Any] | None) -> str:
    """The text of a message whose content may be parts."""
    if isinstance(content, str):
        return content
    parts = [part for part in content or () if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(str(part.get("text", "")) for part in parts)


def model_of(completion: Completion) -> str | None:
    """The model that answered, as the server names it."""
    return completion.model if isinstance(completion.model, str) and completion.model else None


def usage_of(usage: Any) -> Usage | None:
    """Tokens as the server counted them; None where it did not."""
    if not isinstance(usage, dict) or not ("prompt_tokens" in usage or "completion_tokens" in usage):
        return None
    return Usage(
        input_tokens=count(usage, "prompt_tokens"),
        output_tokens=count(usage, "completion_tokens"),
        cached_input_tokens=count(usage.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=count(usage.get("completion_tokens_details"), "reasoning_tokens"),
    )


def billed(body: bytes) -> Usage | None:
    """The usage in an answer of which nothing else can be read."""
    try:
        return usage_of(BILL.decode(body).usage)
    except UNREADABLE:
        return None


def count(counts: Any, name: str) -> int:
    """A count of tokens, where there is one."""
    value = counts.get(name) if isinstance(counts, dict) else None
    return int(value) if isinstance(value, int | float) and value > 0 else 0
