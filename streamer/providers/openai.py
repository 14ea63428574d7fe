"""OpenAI, and whatever speaks its chat completions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from hashlib import sha256
from typing import Any

import msgspec
from aiohttp import ClientResponse
from multidict import CIMultiDict

from streamer.errors import CallFailed, Category, SettingsError
from streamer.providers.completions import Told, read
from streamer.providers.failures import Failures
from streamer.providers.http import ANSWER_BODY, Http, checked
from streamer.providers.protocol import Chunk, Request, Response
from streamer.providers.sse import Events, EventTooLong

BASE_URL = "https://api.openai.com/v1"
OURS = frozenset({"messages", "model", "stream"})
LINGER = 1.0
"""Seconds that usage may come after the finish reason, from a server that neither says [DONE] nor closes."""


ENCODER = msgspec.json.Encoder()


class OpenAI:
    """A model behind a chat-completions endpoint: OpenAI's, or any server that speaks the same.

    ``api_key`` and ``base_url`` default to ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL``; only OpenAI itself
    insists on a key. ``stream`` asks for the answer in pieces and yields :class:`Chunk`; a request with
    ``tools`` is asked for in one piece all the same. ``connect_timeout`` is in seconds.

    A request's parameters are sent as they are. An attempt's id is the ``Idempotency-Key``.

    An answer is whole or it is a failure: without a finish reason, cut, or not to be read, it raises
    :class:`CallFailed` with ``network`` or ``invalid_response``; an error inside a stream has its code's
    category, else ``server_error``. One broken event of a stream is passed over and the answer marked
    ``degraded``. An answer that was withheld or refused is ``content_filter``. One that reached its limit of
    tokens is a success with the finish reason ``length``: its text is what the limit allowed. One that ends
    in tool calls has the value ``{"text": ..., "tool_calls": [...]}``. Usage is in tokens, as the server
    counted them, or None; a failure has it as well where the server told it.

    Source: the OpenAI API reference, "Create chat completion" and "Streaming events".
    """

    ends_when_cancelled = True
    connects = True
    streams = True

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        stream: bool = False,
        connect_timeout: float = 10.0,
        name: str = "openai",
    ) -> None:
        if not isinstance(model, str) or not model:
            raise SettingsError(
                f"{name}: model is the name of a model, such as 'gpt-4o-mini', not {model!r}."
            )
        if not isinstance(connect_timeout, int | float) or not 0 < connect_timeout <= 3_600:
            raise SettingsError(
                f"{name}: connect_timeout is in seconds, above 0 and at most 3600, not {connect_timeout!r}."
            )
        self.model = model
        self.name = name
        self.stream = stream
        self.base_url = checked(base_url or os.environ.get("OPENAI_BASE_URL") or BASE_URL, name, BASE_URL)
        self.url = self.base_url / "chat" / "completions"
        self.failures = Failures(name)
        self.http = Http(self.failures, connect_timeout=float(connect_timeout))
        self._api_key = api_key
        self._headers: CIMultiDict[str] | None = None

    def __repr__(self) -> str:
        return f"OpenAI({self.model!r}, base_url={str(self.base_url)!r}, name={self.name!r})"

    def answer(self, request: Request) -> Awaitable[Response] | AsyncIterator[Chunk]:
        """Begin to answer; see the class for what comes of it."""
        # the tool calls of a stream come in fragments of JSON, of which nobody could use the first
        return (
            self.pieces(request)
            if (self.stream or request.stream) and not request.parameters.get("tools")
            else self.whole(request)
        )

    async def close(self) -> None:
        """Close the connections; the next call opens them again."""
        await self.http.close()

    async def whole(self, request: Request) -> Response:
        """Ask for the answer in one piece."""
        body = self.body(request, {})
        headers = self.headers(request.attempt_id)
        return read(await self.http.ask(self.url, body, headers, request.connect_timeout), self.failures)

    async def pieces(self, request: Request) -> AsyncIterator[Chunk]:
        """Ask for the answer in pieces; closing this releases the connection at once."""
        body = self.body(request, {"stream": True, "stream_options": {"include_usage": True}})
        headers = self.headers(request.attempt_id)
        response = await self.http.post(self.url, body, headers, request.connect_timeout)
        told = Told(self.failures)
        events = Events()
        patience: float | None = None
        try:
            if response.content_type == "application/json":  # it does not stream
                yield whole_chunk(read(await self.http.read(response, ANSWER_BODY), self.failures))
                return
            while not told.done:
                if patience is None and told.finish_reason is not None:
                    patience = asyncio.get_running_loop().time() + LINGER
                piece = await self.piece(response, patience)
                for data in events.feed(piece) if piece else events.close():
                    if text := told.take(data):
                        yield Chunk(text=text)
                if not piece:
                    break
            yield told.end()
            await self.http.drain(response)
        except EventTooLong as error:
            raise self.failures.invalid(
                f"{self.name} sent what cannot be read. {error}", told.usage
            ) from error
        except CallFailed as error:
            error.usage = error.usage or told.usage  # a broken connection knows nothing of what was told
            raise
        finally:
            if not response.closed:
                response.close()

    async def piece(self, response: ClientResponse, patience: float | None) -> bytes:
        """What arrives next; with ``patience``, on the loop's clock, any end will do."""
        if patience is None:
            return await self.http.piece(response)
        try:
            async with asyncio.timeout_at(patience):
                return await self.http.piece(response)
        except (CallFailed, TimeoutError):
            return b""

    def body(self, request: Request, streaming: Mapping[str, Any]) -> bytes:
        """The request's JSON."""
        parameters = request.parameters
        if not OURS.isdisjoint(parameters):
            named = ", ".join(f"`{name}`" for name in sorted(OURS & set(parameters)))
            raise self.refused(f"no parameter may be called {named}")
        if parameters.get("n") not in (None, 1):
            raise self.refused("`n` is 1: a call has one answer, and others would be paid for nothing")
        model = request.model or self.model
        try:
            return ENCODER.encode({"model": model, "messages": request.messages, **streaming, **parameters})
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self.refused(f"the request is no JSON: {error}") from error

    def refused(self, why: str) -> CallFailed:
        """The error that a request is which can't be sent."""
        return CallFailed(Category.INVALID_REQUEST, f"{self.name}: {why}.", provider=self.name)

    def headers(self, attempt_id: str) -> CIMultiDict[str]:
        """The headers of one call."""
        if self._headers is None:
            self._headers = self.authorized()
        headers = self._headers.copy()
        if attempt_id:
            # ids are user's text: anything that no header can carry goes as its hash
            plain = len(attempt_id) <= 255 and attempt_id.isascii() and attempt_id.isprintable()
            headers["Idempotency-Key"] = (
                attempt_id if plain else sha256(attempt_id.encode(errors="surrogatepass")).hexdigest()
            )
        return headers

    def authorized(self) -> CIMultiDict[str]:
        """The headers of all calls."""
        key = (self._api_key or os.environ.get("OPENAI_API_KEY") or "").strip()
        headers = CIMultiDict({"Content-Type": "application/json"})
        if not key and (self.base_url.host or "").endswith("api.openai.com"):
            raise self.unauthorized("has no API key: set OPENAI_API_KEY, or pass api_key")
        if not (key.isascii() and key.isprintable()):
            raise self.unauthorized(
                "has an API key that no header can carry: check OPENAI_API_KEY or api_key"
            )
        if key:
            self.failures.secret = key
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def unauthorized(self, why: str) -> CallFailed:
        """The error that a missing or impossible key is."""
        return CallFailed(Category.AUTHENTICATION, f"{self.name} {why}.", provider=self.name)


def whole_chunk(response: Response) -> Chunk:
    """A whole answer as a stream of one chunk."""
    return Chunk(
        text=response.text,
        value=response.value,
        model=response.model,
        finish_reason=response.finish_reason,
        usage=response.usage,
    )
