"""What connections do."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict
from yarl import URL

from streamer.errors import CallFailed, Category
from streamer.providers.failures import Failures
from streamer.providers.http import Http
from streamer.testing.servers import Fault, FaultServer

pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")
HEADERS: CIMultiDict[str] = CIMultiDict({"Content-Type": "application/json"})
BODY = msgspec.json.encode({"messages": [{"role": "user", "content": "Hello"}]})
NOW = 1_800_000_000.0


def completions(server: FaultServer) -> URL:
    return URL(server.url) / "chat" / "completions"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def test_the_secret_never_shows() -> None:
    """Also not in what a library says of a connection."""
    assert "sk-" not in str(Http(Failures("acme", secret="sk-secret")).broken(OSError("sk-secret")))


async def test_a_refusal_has_its_status_its_code_and_what_to_wait() -> None:
    """All of it comes from the wire."""
    fault = Fault(kind="status", status=429, code="rate_limit_exceeded", message="Slow down.", retry_after=3)
    async with FaultServer(fault) as server:
        http = Http(Failures("acme"))
        with pytest.raises(CallFailed) as caught:
            await http.ask(completions(server), BODY, HEADERS)
        await http.close()
    error = caught.value
    assert (error.category, error.http_status, error.retry_after) == (Category.RATE_LIMIT, 429, 3.0)
    assert (error.provider, str(error)) == ("acme", "acme answered 429 (rate_limit_exceeded): Slow down.")


async def test_a_long_error_is_read_only_in_part() -> None:
    """64 KB at most, and 500 characters of message; its connection is not used again."""
    async with FaultServer(Fault(kind="status", message="no " * 1_000_000)) as server:
        http = Http(Failures("acme"))
        for _ in range(2):
            with pytest.raises(CallFailed) as caught:
                await http.ask(completions(server), BODY, HEADERS)
            assert len(str(caught.value)) == 500
        assert server.connections == 2
        await http.close()


async def test_a_redirect_is_not_followed() -> None:
    """The key does not travel to where it was not meant for."""
    fault = Fault(kind="status", status=308, headers={"Location": "http://127.0.0.1:1/elsewhere"})
    async with FaultServer(fault) as server:
        http = Http(Failures("acme"))
        with pytest.raises(CallFailed, match=r"moved to http://127\.0\.0\.1:1/elsewhere") as caught:
            await http.ask(completions(server), BODY, HEADERS)
        await http.close()
    assert caught.value.category is Category.INVALID_REQUEST


async def test_connections_are_kept_alive_and_as_many_as_calls() -> None:
    """One after another on one; 200 at once on 200, and none waits."""
    async with FaultServer() as server:
        http = Http(Failures("acme"))
        for _ in range(3):
            await http.ask(completions(server), BODY, HEADERS)
        assert server.connections == 1
        server.rule = Fault(delay=0.05)
        await asyncio.gather(*(http.ask(completions(server), BODY, HEADERS) for _ in range(200)))
        assert server.connections == 200
        await http.close()


@pytest.mark.parametrize("kind", ["reset", "cut"])
async def test_a_lost_connection_is_of_the_network(kind: Any) -> None:
    """Before the answer or in the middle of it."""
    async with FaultServer(Fault(kind=kind)) as server:
        http = Http(Failures("acme"))
        with pytest.raises(CallFailed, match="The connection to acme failed") as caught:
            await http.ask(completions(server), BODY, HEADERS)
        await http.close()
    assert caught.value.category is Category.NETWORK


@asynccontextmanager
async def saying(sent: bytes, closes: bool = True) -> AsyncIterator[URL]:
    """A server that says just this, whatever it is asked."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"]}")
        writer.write(sent)
        await writer.drain()
        if not closes:
            await ended.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        ended.set()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nBroken\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_broken_http_is_of_the_network(sent: bytes) -> None:
    """Whatever it is that comes back."""

    async with saying(sent) as url:
        http = Http(Failures("acme"))
        with pytest.raises(CallFailed) as caught:
            await http.ask(url, BODY, HEADERS)
        await http.close()
    assert caught.value.category is Category.NETWORK


@pytest.mark.parametrize("closes", [True, False])
async def test_half_a_refusal_is_a_refusal(monkeypatch: pytest.MonkeyPatch, closes: bool) -> None:
    """Status and headers are enough, whether the body breaks off or never ends."""
    monkeypatch.setattr("streamer.providers.http.ERROR_WAIT", 0.02)
    head = b"HTTP/1.1 429 Too Many\r\nContent-Length: 100\r\nRetry-After: 3\r\n\r\n{}"
    async with saying(head, closes) as url:
        http = Http(Failures("acme"))
        with pytest.raises(CallFailed) as caught:
            await http.ask(url, BODY, HEADERS)
        await http.close()
    assert (caught.value.category, caught.value.retry_after) == (Category.RATE_LIMIT, 3.0)


async def test_nobody_listening_is_of_the_network() -> None:
    """A refused connection."""
    async with FaultServer() as server:
        url = completions(server)
    http = Http(Failures("acme"))
    with pytest.raises(CallFailed) as caught:
        await http.ask(url, BODY, HEADERS)
    await http.close()
    assert caught.value.category is Category.NETWORK


async def test_a_connection_that_is_not_taken_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the connect timeout, with the time in the sentence."""

    async def never(*_: Any, **__: Any) -> None:
        await asyncio.sleep(60)

    http = Http(Failures("acme"), connect_timeout=0.01)
    session = await http.session()
    monkeypatch.setattr(session.connector, "_create_connection", never)
    with pytest.raises(CallFailed, match=r"acme took no connection within 0\.01 s") as caught:
        await http.ask(URL("http://127.0.0.1:1/"), BODY, HEADERS)
    await http.close()
    assert caught.value.category is Category.NETWORK


async def test_a_cancelled_call_lets_its_connection_go_at_once() -> None:
    """While it waits for the answer, or reads it."""
    for kind in ("hang", "stall"):
        async with FaultServer(Fault(kind=kind)) as server:
            http = Http(Failures("acme"))
            task = asyncio.create_task(http.ask(completions(server), BODY, HEADERS))
            await until(lambda: server.received == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: not server.clients)
            await http.close()


def test_the_session_ends_with_its_loop_and_begins_with_the_next() -> None:
    """A script needs no close, and a second ``asyncio.run`` works."""
    http = Http(Failures("acme"))

    async def ask() -> None:
        async with FaultServer() as server:
            await http.ask(completions(server), BODY, HEADERS)

    asyncio.run(ask())
    asyncio.run(ask())
    gc.collect()


def test_a_loop_that_was_closed_without_a_word_is_survived() -> None:
    """Its sockets are asyncio's to complain of; the session is closed all the same."""
    http = Http(Failures("acme"))

    async def ask() -> None:
        async with FaultServer() as server:
            await http.ask(completions(server), BODY, HEADERS)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask())
    loop.close()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed (transport|<socket)", ResourceWarning)
        asyncio.run(ask())
        gc.collect()


async def test_it_can_be_called_after_it_was_closed() -> None:
    """It opens again."""
    async with FaultServer() as server:
        http = Http(Failures("acme"))
        await http.close()
        await http.ask(completions(server), BODY, HEADERS)
        await http.close()
        await http.ask(completions(server), BODY, HEADERS)
        await http.close()
        assert server.connections == 2
