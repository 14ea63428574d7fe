"""Against llmock, a model server that others wrote and that judges its clients.

Source: llmock 0.2.2 from PyPI.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession

from streamer.errors import RETRIED, CallFailed, Category
from streamer.providers.openai import OpenAI
from streamer.providers.protocol import Chunk, Request, Response
from streamer.tasks import Message

pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")
COMMAND = shutil.which("llmock", path=str(Path(sys.executable).parent)) or shutil.which("llmock")
ASKED = Request(
    messages=(Message(role="user", content="What is the capital of France?"),), attempt_id="q-17#1"
)
SAID = "The capital of France is Paris."


@pytest.fixture(scope="module")
def llmock() -> Iterator[str]:
    """A server of its own; yields where it is."""
    if COMMAND is None:
        pytest.skip("llmock is not installed: pip install 'streamer[dev]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [COMMAND, "serve", "-h", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


class Judge:
    """llmock's own interface: what it is to do, and what it thinks of its client."""

    def __init__(self, url: str, session: ClientSession) -> None:
        self.url = url
        self.session = session

    async def ready(self) -> None:
        async with asyncio.timeout(30):
            while True:
                try:
                    async with self.session.get(f"{self.url}/health") as response:
                        if response.status == 200:
                            return
                except OSError:
                    await asyncio.sleep(0.05)

    async def behave(self, *behaviors: dict[str, Any]) -> None:
        async with self.session.post(
            f"{self.url}/_llmock/scenario", json={"behaviors": behaviors}
        ) as response:
            assert response.status == 201, await response.text()

    async def verdict(self) -> list[str]:
        """The codes of what it found, errors and warnings."""
        async with self.session.get(f"{self.url}/_llmock/verdict") as response:
            return [finding["code"] for finding in (await response.json())["findings"]]


@pytest.fixture
async def judge(llmock: str) -> AsyncIterator[Judge]:
    async with ClientSession() as session:
        judge = Judge(llmock, session)
        await judge.ready()
        async with session.post(f"{llmock}/_llmock/reset"):
            yield judge


@pytest.fixture
async def whole(llmock: str) -> AsyncIterator[OpenAI]:
    provider = OpenAI("gpt-4o-mini", base_url=f"{llmock}/v1", api_key="sk-test")
    yield provider
    await provider.close()


@pytest.fixture
async def streamed(llmock: str) -> AsyncIterator[OpenAI]:
    provider = OpenAI("gpt-4o-mini", base_url=f"{llmock}/v1", api_key="sk-test", stream=True)
    yield provider
    await provider.close()


async def retried(provider: OpenAI, attempts: int = 3) -> tuple[Response, list[CallFailed]]:
    """A whole answer, asked for again as each failure says, and the failures."""
    failures: list[CallFailed] = []
    while True:
        try:
            answer = provider.answer(ASKED)
            if not isinstance(answer, AsyncIterator):
                return await answer, failures
            return gathered([chunk async for chunk in answer]), failures
        except CallFailed as error:
            failures.append(error)
            if error.category not in RETRIED or len(failures) == attempts:
                raise
            await asyncio.sleep(error.retry_after or 0.001 * 4 ** len(failures))


def gathered(chunks: list[Chunk]) -> Response:
    last = chunks[-1]
    text = "".join(chunk.text for chunk in chunks)
    return Response(
        text=text,
        model=last.model,
        finish_reason=last.finish_reason,
        usage=last.usage,
        degraded=last.degraded,
    )


async def test_a_whole_answer_and_a_streamed_one_agree(judge: Judge, whole: OpenAI, streamed: OpenAI) -> None:
    """Text, model, finish reason and usage."""
    await judge.behave({"type": "reply", "text": SAID, "times": 2})
    one, _ = await retried(whole)
    two, _ = await retried(streamed)
    assert one == two
    assert (one.text, one.model, one.finish_reason) == (SAID, "gpt-4o-mini", "stop")
    assert one.usage is not None
    assert min(one.usage.input_tokens, one.usage.output_tokens) > 0
    assert await judge.verdict() == []


async def test_tool_calls_come_as_the_value(judge: Judge, whole: OpenAI) -> None:
    """As the server sends them."""
    await judge.behave({"type": "reply", "tool_calls": [{"name": "weather", "arguments": {"city": "Paris"}}]})
    answer = await whole.whole(ASKED)
    assert answer.finish_reason == "tool_calls"
    (call,) = answer.value["tool_calls"]
    assert call["function"]["name"] == "weather"
    assert msgspec.json.decode(call["function"]["arguments"]) == {"city": "Paris"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_rate_limit_says_how_long_to_wait(
    judge: Judge, whole: OpenAI, streamed: OpenAI, stream: bool
) -> None:
    """To the millisecond; who waits so long is not blamed."""
    await judge.behave({"type": "fail", "status": 429, "retry_after": 0.2, "times": 1})
    _, (failure,) = await retried(streamed if stream else whole)
    assert (failure.category, failure.http_status, failure.retry_after) == (Category.RATE_LIMIT, 429, 0.2)
    assert await judge.verdict() == []


@pytest.mark.parametrize(
    ("behavior", "category"),
    [
        ({"status": 429, "code": "insufficient_quota"}, Category.QUOTA),
        ({"status": 400, "code": "context_length_exceeded"}, Category.CONTEXT_LENGTH),
        ({"status": 400}, Category.INVALID_REQUEST),
        ({"status": 401}, Category.AUTHENTICATION),
        ({"status": 403}, Category.PERMISSION),
        ({"status": 404}, Category.INVALID_REQUEST),
        ({"status": 422}, Category.INVALID_REQUEST),
    ],
)
async def test_what_is_permanent_is_asked_once(
    judge: Judge, whole: OpenAI, behavior: dict[str, Any], category: Category
) -> None:
    """Of the permanent ones the judge only minds that a used-up quota is given up, for its status is 429."""
    await judge.behave({"type": "fail", **behavior})
    with pytest.raises(CallFailed) as caught:
        await retried(whole)
    assert (caught.value.category, caught.value.http_status) == (category, behavior["status"])
    assert await judge.verdict() == (["gave_up"] if category is Category.QUOTA else [])


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
async def test_what_may_pass_is_asked_again(judge: Judge, whole: OpenAI, status: int) -> None:
    """And is answered then."""
    await judge.behave({"type": "fail", "status": status, "retry_after": 0.01, "times": 2})
    _, failures = await retried(whole)
    assert [failure.http_status for failure in failures] == [status] * 2
    assert await judge.verdict() == []


@pytest.mark.parametrize(
    ("kind", "category"), [("truncate", Category.INVALID_RESPONSE), ("disconnect", Category.NETWORK)]
)
async def test_a_broken_stream_is_a_failure_and_asked_again(
    judge: Judge, streamed: OpenAI, kind: str, category: Category
) -> None:
    """Half an answer is never taken for one."""
    await judge.behave(
        {"type": "reply", "text": SAID, "times": 2},
        {"type": "stream_fault", "kind": kind, "after_chunks": 2, "times": 1},
    )
    answer, (failure,) = await retried(streamed)
    assert failure.category is category
    assert answer.text == SAID
    assert await judge.verdict() == []


async def test_a_malformed_event_is_passed_over_and_marked(judge: Judge, streamed: OpenAI) -> None:
    """The judge warns of it, and ``degraded`` is the warning passed on."""
    await judge.behave(
        {"type": "reply", "text": SAID},
        {"type": "stream_fault", "kind": "malformed", "after_chunks": 2},
    )
    answer, failures = await retried(streamed)
    assert (answer.degraded, answer.finish_reason, failures) == (True, "stop", [])
    assert await judge.verdict() == ["malformed_chunk_ignored"]


async def test_a_stalled_stream_ends_when_it_is_cancelled(judge: Judge, streamed: OpenAI) -> None:
    """The clock is the caller's, and the connection does not wait for the server."""
    await judge.behave({"type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": 0.5})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await retried(streamed)
