"""Calls of providers over HTTP: one session each, and what comes of its connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from multidict import CIMultiDict
from yarl import URL

from streamer.errors import CallFailed, Category, SettingsError, TimedOut
from streamer.providers.failures import Failures
from streamer.version import __version__

ERROR_BODY = 65_536
"""Bytes that are read of an error's body."""
ERROR_WAIT = 5.0
"""Seconds that an error's body may take; its status is known by then."""
ANSWER_BODY = 67_108_864
"""Bytes that an answer may have."""
DRAIN = 0.05
"""Seconds that the end of a body may come after its last event; with it the connection can be used again."""


class Http:
    """One provider's connections: kept alive, opened when needed, as many as there are calls.

    The session belongs to the event loop that runs: made at the first call, made anew for another loop,
    closed by :meth:`close`, or else with its loop. No proxy, cookie or redirect is followed.
    ``connect_timeout`` is in seconds and covers name look-up, TCP and TLS; how long an answer may take is the
    caller's to say.
    """

    def __init__(self, failures: Failures, *, connect_timeout: float = 10.0) -> None:
        self.failures = failures
        self.connect_timeout = connect_timeout
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: ClientSession | None = None
        self._lifetime: AsyncGenerator[ClientSession, None] | None = None

    async def _open(self) -> AsyncGenerator[ClientSession, None]:
        """A session for as long as the generator lives, which a loop ends with itself."""
        session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=15.0),
            timeout=ClientTimeout(total=None, connect=self.connect_timeout),
            cookie_jar=DummyCookieJar(),
            headers={"User-Agent": f"streamer/{__version__}"},
            trust_env=False,
        )
        try:
            yield session
        finally:
            await session.close()

    async def session(self) -> ClientSession:
        """The running loop's session."""
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop or self._session.closed:
            if self._session is not None and self._loop is not None and self._loop.is_closed():
                await self._session.close()  # its loop ended without telling its generators
            self._lifetime = self._open()
            self._session = await anext(self._lifetime)
            self._loop = loop
        return self._session

    async def close(self) -> None:
        """Close the connections; the next call opens them again."""
        lifetime, self._lifetime, self._session = self._lifetime, None, None
        if lifetime is not None:
            await lifetime.aclose()

    async def post(
        self, url: URL, body: bytes, headers: CIMultiDict[str], connect: float | None = None
    ) -> ClientResponse:
        """The response, once its status says that it is an answer; who gets it closes it.

        Raises :class:`CallFailed`: ``network`` where the connection fails, else what the refusal means. ``connect``
        is the caller's own clock, in seconds: :class:`TimedOut` where there is no connection by then.
        """
        session = await self.session()
        own = connect is not None and connect <= self.connect_timeout
        timeout = ClientTimeout(total=None, connect=connect) if own else session.timeout
        try:
            response = await session.post(
                url, data=body, headers=headers, allow_redirects=False, timeout=timeout
            )
        except (ClientError, OSError) as error:
            if own and isinstance(error, TimeoutError):
                provider = self.failures.provider
                said = f"No connection to {provider} within {connect:g} s (connect)."
                raise TimedOut(said, provider=provider) from error
            raise self.broken(error) from error
        if 200 <= response.status < 300:
            return response
        try:
            raise await self.refused(response)
        finally:
            response.close()

    async def ask(
        self, url: URL, body: bytes, headers: CIMultiDict[str], connect: float | None = None
    ) -> bytes:
        """The whole body of an answer; errors as of :meth:`post`, ``invalid_response`` for an endless one."""
        response = await self.post(url, body, headers, connect)
        try:
            answer = await self.read(response, ANSWER_BODY)
        finally:
            if not response.closed:
                response.close()
        if len(answer) > ANSWER_BODY:
            raise self.failures.invalid(f"{self.failures.provider} answered more than {ANSWER_BODY} bytes.")
        return answer

    async def read(self, response: ClientResponse, limit: int) -> bytes:
        """A body up to its end, or until it has more than ``limit`` bytes."""
        body = await self.piece(response)
        if response.content.at_eof():
            return body
        pieces = [body]
        size = len(body)
        while size <= limit and (piece := await self.piece(response)):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    async def piece(self, response: ClientResponse) -> bytes:
        """What has arrived of a body; nothing at its end."""
        try:
            return await response.content.readany()
        except (ClientError, OSError) as error:
            raise self.broken(error) from error

    async def drain(self, response: ClientResponse) -> None:
        """Read the end of the body, if it is there, for the sake of the connection."""
        if response.content.at_eof():
            return
        try:
            async with asyncio.timeout(DRAIN):
                while await self.piece(response):
                    pass
        except (CallFailed, TimeoutError):
            pass

    async def refused(self, response: ClientResponse) -> CallFailed:
        """What a refusal means, by its status and its codes."""
        body = b""
        try:
            async with asyncio.timeout(ERROR_WAIT):
                while len(body) < ERROR_BODY and (piece := await self.piece(response)):
                    body += piece
        except (CallFailed, TimeoutError):
            pass  # the status is enough
        return self.failures.refused(response.status, body[:ERROR_BODY], response.headers, time.time())

    def broken(self, error: Exception) -> CallFailed:
        """The error that a failed connection is."""
        provider = self.failures.provider
        if isinstance(error, TimeoutError):
            message = f"{provider} took no connection within {self.connect_timeout:g} s."
        else:
            what = f"The connection to {provider} failed"
            message = self.failures.sentence(what, (type(error).__name__,), str(error))
        return CallFailed(Category.NETWORK, message, provider=provider)


def checked(base_url: str, name: str, example: str) -> URL:
    """A base URL, without its last slash; a :class:`SettingsError` names whose it is, and the ``example``."""
    try:
        url = URL(base_url.strip().rstrip("/"))
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host or url.user or url.password or url.query_string:
        raise SettingsError(
            f"{name}: base_url is http:// or https://, a host and perhaps a path, without user or query, "
            f"such as {example!r}."
        )
    return url
