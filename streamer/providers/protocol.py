"""What a provider is: one method."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol, runtime_checkable

from msgspec import UNSET, Struct, UnsetType

from streamer.results import Usage
from streamer.tasks import Message


class Request(Struct, frozen=True, kw_only=True):
    """What a provider is asked: a conversation, and how to answer it.

    ``attempt_id`` is the same for the same attempt after a crash: an idempotency key, where a provider takes one.
    ``stream``: somebody reads along, so that an answer in pieces is better than a whole one. ``connect_timeout`` is
    in seconds, for a provider that ``connects``.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    parameters: dict[str, Any] = {}
    attempt_id: str = ""
    stream: bool = False
    connect_timeout: float | None = None

    @property
    def prompt(self) -> str:
        """The text of the last message."""
        content = self.messages[-1].content if self.messages else None
        if isinstance(content, str):
            return content
        texts = (part.get("text") for part in content or ())
        return "".join(text for text in texts if isinstance(text, str))


class Response(Struct, frozen=True, kw_only=True):
    """A whole answer. ``value`` is the answer where it is not the text. Money is USD."""

    text: str = ""
    value: Any | UnsetType = UNSET
    model: str | None = None
    finish_reason: str | None = "stop"
    usage: Usage | None = None
    cost: float | None = None
    degraded: bool = False


class Chunk(Struct, frozen=True, kw_only=True):
    """A piece of an answer; the last one has the ``finish_reason``, and what else is known only at the end.

    ``value`` is the answer where it is not the text of all chunks.
    """

    text: str = ""
    value: Any | UnsetType = UNSET
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    degraded: bool = False


@runtime_checkable
class Provider(Protocol):
    """Answers requests.

    ``answer`` returns an awaitable of a :class:`Response` (or of any value, which then is the answer), or an async
    iterator of :class:`Chunk` or ``str``. Failures are raised as :class:`streamer.errors.CallFailed` with a
    category; ``ConnectionError`` and ``TimeoutError`` are understood. A stream of chunks that ends without a
    ``finish_reason`` is cut, and never a success.

    Optional attributes: ``ends_when_cancelled = True`` promises that a cancelled call ends at once, so that it
    needs no asyncio task of its own under a timeout; ``free = True`` that a call costs nothing, so that its answers
    are not journaled; ``connects = True`` that it raises :class:`streamer.errors.TimedOut` when it has no connection
    within the request's ``connect_timeout``; ``streams``: whether it can answer in pieces, where that is known;
    ``context_window`` in tokens; ``async def close()``.
    """

    def answer(self, request: Request) -> Awaitable[Any] | AsyncIterator[Any]:
        """Begin to answer."""
        ...
