"""Chat completions, against a server with every fault."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from socket import socket
from typing import Any
from unittest.mock import AsyncMock

import msgspec
import pytest

from streamer.errors import CallFailed, Category, SettingsError, TimedOut
from streamer.providers.openai import OpenAI
from streamer.providers.protocol import Chunk, Provider, Request, Response
from streamer.providers.registry import Registry
from streamer.results import Usage
from streamer.single import Single
from streamer.tasks import Message
from streamer.testing.servers import Fault, FaultServer
from streamer.testing.servers.calls import prompt_of

pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")
TEXT = "The capital of France is Paris.\nIs it? \u00e9\U0001f600 "


def request(text: str = TEXT, attempt_id: str = "", **parameters: Any) -> Request:
    messages = (Message(role="system", content="Be brief."), Message(role="user", content=text))
    return Request(messages=messages, parameters=parameters, attempt_id=attempt_id)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture(params=["whole", "streamed"])
async def model(request: pytest.FixtureRequest, server: FaultServer) -> AsyncIterator[OpenAI]:
    provider = OpenAI("gpt-4o-mini", base_url=server.url, stream=request.param == "streamed", name="acme")
    yield provider
    await provider.close()
    gc.collect()


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


async def ask(provider: OpenAI, request: Request) -> Response:
    """The whole answer, however it comes."""
    answer = provider.answer(request)
    if not isinstance(answer, AsyncIterator):
        return await answer
    chunks = [chunk async for chunk in answer]
    last = chunks[-1]
    assert [chunk for chunk in chunks if chunk.finish_reason is not None] == [last]
    return Response(
        text="".join(chunk.text for chunk in chunks),
        model=last.model,
        finish_reason=last.finish_reason,
        usage=last.usage,
        degraded=last.degraded,
    )


async def failure(provider: OpenAI, request: Request) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await ask(provider, request)
    assert caught.value.provider == provider.name
    return caught.value


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def test_it_is_a_provider_that_ends_when_cancelled() -> None:
    """A clock around it needs no task of its own."""
    assert isinstance(OpenAI("gpt-4o-mini"), Provider)
    assert OpenAI.ends_when_cancelled


# --- answers


async def test_an_answer_is_whole(model: OpenAI, server: FaultServer) -> None:
    """Text, model, finish reason and usage, the same in one piece as in many."""
    size = (len(TEXT) + 3) // 4
    assert await ask(model, request()) == Response(
        text=TEXT,
        model="gpt-4o-mini",
        finish_reason="stop",
        usage=Usage(input_tokens=size, output_tokens=size),
    )
    assert (server.received, server.answered, server.calls[0].paid) == (1, 1, True)


async def test_the_request_is_what_was_asked(model: OpenAI, server: FaultServer) -> None:
    """Messages, model and parameters as they are, and the attempt's id as idempotency key."""
    parameters = {
        "temperature": 0.2,
        "top_p": 1,
        "max_tokens": 5,
        "stop": ["\n"],
        "seed": 7,
        "logit_bias": {"1": 2},
    }
    await ask(model, request(attempt_id="q-17/0#2", **parameters))
    call = server.calls[0]
    assert call.body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": TEXT},
    ]
    assert call.body["model"] == "gpt-4o-mini"
    assert {name: call.body[name] for name in parameters} == parameters
    assert call.attempt_id == "q-17/0#2"
    assert call.headers["content-type"] == "application/json"
    assert call.headers["user-agent"].startswith("streamer/")
    assert "authorization" not in call.headers
    streaming = {"stream": True, "stream_options": {"include_usage": True}} if model.stream else {}
    assert {name: call.body[name] for name in ("stream", "stream_options") if name in call.body} == streaming


async def test_a_request_may_name_another_model(model: OpenAI, server: FaultServer) -> None:
    """For a route that asks one endpoint for several."""
    answer = await ask(model, Request(messages=request().messages, model="gpt-4o"))
    assert server.calls[0].body["model"] == answer.model == "gpt-4o"


async def test_a_conversation_with_parts_and_tools_travels_whole(model: OpenAI, server: FaultServer) -> None:
    """Parts of content, tool calls and their answers."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = (
        Message(role="user", content=({"type": "text", "text": "What?"},)),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="7", tool_call_id="c1"),
    )
    await ask(model, Request(messages=messages))
    assert server.calls[0].body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "What?"}]},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "7", "tool_call_id": "c1"},
    ]


@pytest.mark.parametrize("attempt_id", ["a\r\nX-Evil: 1", "q-\u00e9#1", "q" * 300 + "#1"])
async def test_any_id_makes_an_idempotency_key(server: FaultServer, attempt_id: str) -> None:
    """What no header can carry goes as its hash, the same for the same id."""
    provider = OpenAI("gpt-4o-mini", base_url=server.url)
    for _ in range(2):
        await ask(provider, request(attempt_id=attempt_id))
    await provider.close()
    one, two = server.calls
    assert one.attempt_id == two.attempt_id
    assert len(one.attempt_id) == 64
    assert "x-evil" not in one.headers


async def test_all_that_is_counted_is_reported(model: OpenAI, server: FaultServer) -> None:
    """Cached and reasoning tokens are in the details."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 32},
    }
    server.rule = Fault(usage=usage)
    assert (await ask(model, request())).usage == Usage(
        input_tokens=100, output_tokens=50, cached_input_tokens=64, reasoning_tokens=32
    )


async def test_reaching_the_limit_of_tokens_is_a_success(model: OpenAI, server: FaultServer) -> None:
    """The finish reason says so."""
    server.rule = Fault(finish_reason="length", text="The capital of")
    answer = await ask(model, request())
    assert (answer.finish_reason, answer.text) == ("length", "The capital of")


async def test_tool_calls_are_the_value(model: OpenAI, server: FaultServer) -> None:
    """With the text, if any; asked for in one piece also where the provider streams."""
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    server.rule = Fault(tool_calls=calls, finish_reason="tool_calls", text="Let me see.")
    answer = await ask(model, request(tools=[{"type": "function", "function": {"name": "f"}}]))
    assert answer.value == {"text": "Let me see.", "tool_calls": calls}
    assert answer.finish_reason == "tool_calls"
    assert "stream" not in server.calls[0].body


async def test_tool_calls_nobody_offered_are_no_answer(server: FaultServer) -> None:
    """A stream that has them is not a success without them."""
    provider = OpenAI("gpt-4o-mini", base_url=server.url, stream=True)
    server.rule = Fault(tool_calls=[{"index": 0, "id": "c1"}], finish_reason="tool_calls", text="")
    assert (await failure(provider, request())).category is Category.INVALID_RESPONSE
    await provider.close()


async def test_a_server_that_does_not_stream_is_understood(server: FaultServer) -> None:
    """It answers with JSON: one chunk."""
    whole = OpenAI("gpt-4o-mini", base_url=server.url, stream=True)
    whole.body = lambda request, streaming: OpenAI.body(whole, request, {})  # type: ignore[method-assign]
    chunks = [chunk async for chunk in whole.pieces(request("Hello"))]
    assert chunks == [
        Chunk(
            text="Hello",
            model="gpt-4o-mini",
            finish_reason="stop",
            usage=Usage(input_tokens=2, output_tokens=2),
        )
    ]
    calls = [{"id": "c1", "type": "function"}]
    server.rule = Fault(tool_calls=calls, finish_reason="tool_calls", text="")
    (chunk,) = [chunk async for chunk in whole.pieces(request("Hello"))]
    assert chunk.value == {"text": "", "tool_calls": calls}
    await whole.close()


# --- failures


@pytest.mark.parametrize(
    ("fault", "category"),
    [
        (Fault(kind="reset"), Category.NETWORK),
        (Fault(kind="cut"), Category.NETWORK),
        (Fault(kind="cut", at=0), Category.NETWORK),
        (Fault(kind="cut", at=9), Category.NETWORK),
        (Fault(kind="truncate"), Category.INVALID_RESPONSE),
        (Fault(kind="truncate", at=0), Category.INVALID_RESPONSE),
        (Fault(kind="no_finish"), Category.INVALID_RESPONSE),
        (Fault(kind="in_band"), Category.SERVER_ERROR),
        (Fault(kind="in_band", code="rate_limit_exceeded"), Category.RATE_LIMIT),
        (Fault(kind="in_band", code="overloaded_error"), Category.OVERLOADED),
        (Fault(kind="in_band", code="insufficient_quota"), Category.QUOTA),
        (Fault(finish_reason="content_filter", text="The"), Category.CONTENT_FILTER),
        (Fault(finish_reason="error"), Category.SERVER_ERROR),
        (Fault(kind="status", status=401, code="invalid_api_key"), Category.AUTHENTICATION),
        (Fault(kind="status", status=429, retry_after=1), Category.RATE_LIMIT),
        (Fault(kind="status", status=429, code="insufficient_quota"), Category.QUOTA),
        (Fault(kind="status", status=400, code="context_length_exceeded"), Category.CONTEXT_LENGTH),
        (Fault(kind="status", status=503), Category.OVERLOADED),
    ],
)
async def test_half_an_answer_is_never_a_success(
    model: OpenAI, server: FaultServer, fault: Fault, category: Category
) -> None:
    """whole_answers: every way to break one has its category, and the provider works again at once."""
    server.rule = [fault]
    assert (await failure(model, request())).category is category
    assert (await ask(model, request())).text == TEXT
    assert server.received == 2


@pytest.mark.parametrize(
    "fault", [Fault(kind="no_finish"), Fault(finish_reason="content_filter"), Fault(finish_reason="error")]
)
async def test_a_failure_that_was_counted_has_its_usage(
    model: OpenAI, server: FaultServer, fault: Fault
) -> None:
    """What was paid for is known, though it is no answer."""
    server.rule = fault
    size = (len(TEXT) + 3) // 4
    assert (await failure(model, request())).usage == Usage(input_tokens=size, output_tokens=size)


async def test_a_connection_that_breaks_keeps_what_was_counted(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By servers that count as they go."""
    provider = OpenAI("gpt-4o-mini", base_url=server.url, stream=True)
    event = b'data: {"choices": [{"delta": {"content": "The"}}], "usage": {"completion_tokens": 1}}\n\n'
    broken = CallFailed(Category.NETWORK, "Broken.", provider=provider.name)
    monkeypatch.setattr(provider.http, "piece", AsyncMock(side_effect=[event, broken]))
    error = await failure(provider, request())
    assert (error.category, error.usage) == (Category.NETWORK, Usage(output_tokens=1))
    await provider.close()


async def test_a_body_that_is_no_json_is_no_answer(server: FaultServer) -> None:
    """A gateway's page with status 200."""
    server.rule = Fault(kind="malformed")
    provider = OpenAI("gpt-4o-mini", base_url=server.url)
    assert (await failure(provider, request())).category is Category.INVALID_RESPONSE
    await provider.close()


@pytest.mark.parametrize("at", [0, 2, 8])
async def test_a_malformed_event_is_passed_over_and_marked(server: FaultServer, at: int) -> None:
    """The rest of the stream counts, and the answer is degraded."""
    server.rule = Fault(kind="malformed", at=at)
    provider = OpenAI("gpt-4o-mini", base_url=server.url, stream=True)
    answer = await ask(provider, request())
    assert answer.degraded
    assert (answer.text == TEXT) == (at == 0)
    await provider.close()


async def test_a_malformed_finish_reason_is_none(server: FaultServer) -> None:
    """The finish reason is still required."""
    server.rule = Fault(kind="malformed", at=2, text="Paris")
    provider = OpenAI("gpt-4o-mini", base_url=server.url, stream=True)
    assert (await failure(provider, request())).category is Category.INVALID_RESPONSE
    await provider.close()


@pytest.mark.parametrize(("kind", "at_most"), [("no_done", 0.5), ("open", 1.5)])
async def test_a_stream_without_its_last_line_is_finished_all_the_same(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, kind: Any, at_most: float
) -> None:
    """With the finish reason the answer is whole: at once where the stream ends, soon where it stays open."""
    monkeypatch.setattr("streamer.providers.openai.LINGER", 0.02)
    server.rule = Fault(kind=kind)
    provider = OpenAI("gpt-4o-mini", base_url=server.url, stream=True)
    began = time.monotonic()
    answer = await ask(provider, request())
    assert time.monotonic() - began < at_most
    assert (answer.text, answer.finish_reason, answer.degraded) == (TEXT, "stop", False)
    assert answer.usage is not None
    await provider.close()


@pytest.mark.parametrize("at", [5, 6])
async def test_a_connection_that_breaks_after_the_finish_reason_takes_nothing(
    server: FaultServer, at: int
) -> None:
    """The answer was whole; the usage is there if it came."""
    server.rule = Fault(kind="cut", at=at)
    provider = OpenAI("gpt-4o-mini", base_url=server.url, stream=True)
    answer = await ask(provider, request("a b c"))
    assert (answer.text, answer.finish_reason) == ("a b c", "stop")
    assert (answer.usage is not None) == (at == 6)
    await provider.close()


async def test_an_event_without_end_is_refused(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream can't fill the memory."""
    monkeypatch.setattr("streamer.providers.openai.Events.__init__.__defaults__", (100,))
    provider = OpenAI("gpt-4o-mini", base_url=server.url, stream=True)
    assert (await failure(provider, request("a" * 1_000))).category is Category.INVALID_RESPONSE
    await provider.close()


# --- streams


async def test_a_stream_comes_in_pieces_as_they_arrive(server: FaultServer) -> None:
    """A chunk per event with text, and one at the end with all else."""
    server.pace = 0.001
    provider = OpenAI("gpt-4o-mini", base_url=server.url, stream=True)
    chunks = [chunk async for chunk in provider.pieces(request("a b c"))]
    assert [chunk.text for chunk in chunks] == ["a", " b", " c", ""]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, None, "stop"]
    await provider.close()


async def test_a_stream_that_is_closed_early_lets_its_connection_go(server: FaultServer) -> None:
    """At once, and the server sees it."""
    server.rule = Fault(kind="stall")
    provider = OpenAI("gpt-4o-mini", base_url=server.url, stream=True)
    async with aclosing(provider.pieces(request())) as chunks:
        assert (await anext(chunks)).text == "The"
        assert server.clients
    await until(lambda: not server.clients)
    assert server.answered == 0
    await provider.close()


async def test_a_call_that_is_cancelled_lets_its_connection_go(model: OpenAI, server: FaultServer) -> None:
    """While it waits or while it reads."""
    for kind in ("hang", "stall"):
        server.rule = Fault(kind=kind)  # type: ignore[arg-type]
        task = asyncio.create_task(ask(model, request()))
        received = server.received
        await until(lambda received=received: server.received > received)  # type: ignore[misc]
        await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not server.clients)


async def test_a_finished_stream_gives_its_connection_to_the_next(model: OpenAI, server: FaultServer) -> None:
    """Ten calls, one connection."""
    for pace in (0.0, 0.001):
        server.pace = pace
        for _ in range(5):
            await ask(model, request())
    assert server.connections == 1


# --- settings


class TestTheClocksOfACall:
    """Against a real server; each names itself and lets the connection go."""

    def call(self, provider: OpenAI, **clocks: float) -> Single[Any]:
        return Registry().declare(provider, {"name": "acme", "concurrency": 1})("?").timeout(**clocks)

    @pytest.mark.parametrize(
        ("fault", "clock"),
        [
            (Fault(kind="hang"), "first_token"),
            (Fault(kind="stall", at=0), "first_token"),
            (Fault(kind="stall", at=3), "between_tokens"),
        ],
    )
    async def test_a_stream_that_stalls_is_given_up(
        self, server: FaultServer, fault: Fault, clock: str
    ) -> None:
        """Who asks for the clock of a token asks for a stream."""
        provider = OpenAI("gpt-4o-mini", base_url=server.url, name="acme")
        server.rule = [fault]
        with pytest.raises(TimedOut, match=clock) as caught:
            await self.call(provider, **{clock: 0.1})
        assert (caught.value.category, caught.value.provider) == (Category.TIMEOUT, "acme")
        await until(lambda: not server.clients)
        assert await self.call(provider, first_token=30, between_tokens=30, connect=30)
        await provider.close()

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_connection_that_is_not_taken_is_given_up(self, stream: bool) -> None:
        with socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(0)
            full = [socket() for _ in range(8)]
            for one in full:
                one.setblocking(False)
                one.connect_ex(deaf.getsockname())
            host, port = deaf.getsockname()
            provider = OpenAI("gpt-4o-mini", base_url=f"http://{host}:{port}", stream=stream, name="acme")
            with pytest.raises(TimedOut, match=r"No connection to acme within 0.1 s \(connect\)") as caught:
                await self.call(provider, connect=0.1)
            assert caught.value.category is Category.TIMEOUT
            await provider.close()
            for one in full:
                one.close()

    async def test_one_that_is_open_already_is_there_at_once(self, server: FaultServer) -> None:
        provider = OpenAI("gpt-4o-mini", base_url=server.url, name="acme")
        await self.call(provider, connect=30)
        assert await self.call(provider, connect=1e-6)
        await provider.close()


async def test_a_missing_key_fails_at_the_call_with_the_remedy() -> None:
    """OpenAI itself insists on one; nothing is sent."""
    provider = OpenAI("gpt-4o-mini")
    error = await failure(provider, request())
    assert error.category is Category.AUTHENTICATION
    assert "OPENAI_API_KEY" in str(error)


async def test_the_environment_is_read(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that OpenAI's own client made standard; a line end after the key does no harm."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment\n")
    provider = OpenAI("gpt-4o-mini")
    await ask(provider, request())
    assert server.calls[0].headers["authorization"] == "Bearer sk-environment"
    await provider.close()


async def test_arguments_go_before_the_environment(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that is passed is the key."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    provider = OpenAI("gpt-4o-mini", base_url=server.url, api_key="sk-argument")
    await ask(provider, request())
    assert server.calls[0].headers["authorization"] == "Bearer sk-argument"
    await provider.close()


async def test_the_key_never_shows(server: FaultServer) -> None:
    """Not in a repr, not in an error, though the server sends it back."""
    server.rule = Fault(kind="status", status=401, message="Incorrect API key provided: sk-secret.")
    provider = OpenAI("gpt-4o-mini", base_url=server.url, api_key="sk-secret")
    error = await failure(provider, request())
    assert "sk-secret" not in f"{error} {error!r} {provider!r} {provider.http!r}"
    await provider.close()


async def test_a_key_that_no_header_can_carry_is_named_not_shown(server: FaultServer) -> None:
    """Pasted with a line in it."""
    provider = OpenAI("gpt-4o-mini", base_url=server.url, api_key="sk-\nsecret")
    error = await failure(provider, request())
    assert error.category is Category.AUTHENTICATION
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"model": "gpt-4o"}, "`model`"),
        ({"messages": [], "stream": True}, "`messages`, `stream`"),
        ({"n": 2}, "`n` is 1"),
        ({"seed": object()}, "no JSON"),
        ({"stop": "\ud800"}, "no JSON"),
    ],
)
async def test_a_parameter_that_cannot_be_is_refused_before_the_call(
    model: OpenAI, server: FaultServer, parameters: dict[str, Any], named: str
) -> None:
    """It is the task that is wrong, and nothing was sent."""
    error = await failure(model, request(**parameters))
    assert error.category is Category.INVALID_REQUEST
    assert named in str(error)
    assert server.received == 0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"model": ""}, "model is the name"),
        ({"model": None}, "model is the name"),
        ({"connect_timeout": 0}, "connect_timeout is in seconds"),
        ({"connect_timeout": "1"}, "connect_timeout is in seconds"),
        ({"base_url": "api.openai.com/v1"}, "base_url is http"),
        ({"base_url": "ftp://example.com"}, "base_url is http"),
        ({"base_url": "http://"}, "base_url is http"),
        ({"base_url": "http://[::1"}, "base_url is http"),
        ({"base_url": "https://user:sk-secret@example.com"}, "without user"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], named: str) -> None:
    """At construction, without its secrets."""
    with pytest.raises(SettingsError, match=named) as caught:
        OpenAI(**{"model": "gpt-4o-mini", **settings})
    assert "sk-secret" not in str(caught.value)


# --- the server's own count


@pytest.mark.parametrize(
    "messages", [None, [], "a", [7], [{}], [{"content": 7}], [{"content": [7, {}, {"text": 7}]}]]
)
def test_the_server_reads_a_prompt_in_anything(messages: Any) -> None:
    """What it is sent is the client's affair."""
    assert prompt_of({"messages": messages}) == ""


async def test_the_server_counts_what_it_received_and_what_it_answered(tmp_path: Any) -> None:
    """In memory and in its log, a line at a time."""
    log = tmp_path / "calls.jsonl"
    script = [Fault(kind="status", status=429), None, Fault(kind="cut"), Fault(kind="hang")]
    async with FaultServer(script, log=str(log)) as server:
        provider = OpenAI("gpt-4o-mini", base_url=server.url)
        await failure(provider, request("a", "t#1"))
        await ask(provider, request("a", "t#2"))
        await failure(provider, request("b", "u#1"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ask(provider, request("c", "v#1"))
        await provider.close()
    assert (server.received, server.answered) == (4, 2)
    assert [call.status for call in server.calls if call.answered_at] == [429, 200]
    assert [call.attempt_id for call in server.calls if call.paid] == ["t#2"]
    lines = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
    assert [(line["event"], line["attempt_id"]) for line in lines] == [
        ("received", "t#1"),
        ("answered", "t#1"),
        ("received", "t#2"),
        ("answered", "t#2"),
        ("received", "u#1"),
        ("received", "v#1"),
    ]
    assert all(abs(line["at"] - time.time()) < 60 for line in lines)


async def test_the_server_runs_as_a_process_of_its_own(tmp_path: Any) -> None:
    """It says where it listens, behaves as told, logs, and ends on a signal."""
    log = tmp_path / "calls.jsonl"
    command = ["-m", "streamer.testing.servers", "--log", str(log), "--latency", "uniform(0,0.001)"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--seed", "7", "--error-rate", "0.5", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode().split()
    assert line[0] == "listening"
    provider = OpenAI("gpt-4o-mini", base_url=line[1])
    answers = await asyncio.gather(*(ask(provider, request()) for _ in range(20)), return_exceptions=True)
    await provider.close()
    process.terminate()
    assert await process.wait() == 0
    whole = sum(isinstance(answer, Response) for answer in answers)
    lines = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
    assert sum(line["event"] == "received" for line in lines) == 20
    assert sum(line["event"] == "answered" and line["status"] == 200 for line in lines) == whole
    assert 0 < whole < 20
