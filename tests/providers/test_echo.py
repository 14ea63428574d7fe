"""The provider that says what it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streamer.errors import CallFailed, Category, SettingsError
from streamer.providers.echo import CALLS, Echo
from streamer.providers.protocol import Provider, Request, Response
from streamer.tasks import Message


def request(text: str = "Hello") -> Request:
    return Request(messages=(Message(role="user", content=text),))


def test_it_is_a_provider_that_ends_when_cancelled() -> None:
    """A clock around it needs no task of its own."""
    assert isinstance(Echo(), Provider)
    assert Echo.ends_when_cancelled


async def test_it_answers_with_the_last_message_and_counts_nothing() -> None:
    """Plain echo: the text, no usage, no record of calls."""
    echo = Echo()
    messages = (Message(role="system", content="Be brief."), Message(role="user", content="Hello"))
    assert await echo.answer(Request(messages=messages)) == Response(text="Hello")
    assert not echo.calls


async def test_text_parts_are_joined() -> None:
    """A message of parts is echoed as their text."""
    parts = ({"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"})
    assert (await Echo().answer(Request(messages=(Message(role="user", content=parts),)))).text == "ab"


async def test_a_queue_is_answered_in_order_and_then_it_echoes() -> None:
    """Texts, exceptions, responses, values and functions, one per call; None is nothing to say."""
    response = Response(text="whole", finish_reason="length")
    answers: list[Any] = ["one", ValueError("two"), response, {"four": 4}, None, lambda r: r.prompt.upper()]
    echo = Echo(answers)
    assert (await echo.answer(request())).text == "one"
    with pytest.raises(ValueError, match="two"):
        await echo.answer(request())
    assert await echo.answer(request()) is response
    assert await echo.answer(request()) == {"four": 4}
    assert (await echo.answer(request())).text == "Hello"
    assert (await echo.answer(request())).text == "HELLO"
    assert (await echo.answer(request("after"))).text == "after"
    assert [call.prompt for call in echo.calls] == ["Hello"] * 6 + ["after"]


async def test_an_endless_queue_is_read_as_far_as_it_is_needed() -> None:
    """Generators are queues."""
    echo = Echo(f"answer {n}" for n in iter(int, 1))
    assert [(await echo.answer(request())).text for _ in range(3)] == ["answer 0"] * 3


async def test_a_function_of_the_request_answers() -> None:
    """Plain or async; what it raises or returns counts."""

    async def slowly(request: Request) -> str:
        await asyncio.sleep(0)
        return request.prompt[::-1]

    def refuse(request: Request) -> Exception:
        return CallFailed(Category.RATE_LIMIT, "Later.", retry_after=2.0)

    assert (await Echo(slowly).answer(request())).text == "olleH"
    with pytest.raises(CallFailed) as caught:
        await Echo(refuse).answer(request())
    assert caught.value.retry_after == 2.0
    assert (await Echo(lambda _: None).answer(request())).text == "Hello"


async def test_the_first_pattern_that_is_found_answers() -> None:
    """A mapping of regular expressions; nothing found is echoed."""
    echo = Echo({"^cap": "Paris", "capital": TimeoutError, "sum": lambda r: len(r.prompt)})
    assert (await echo.answer(request("capital of France"))).text == "Paris"
    with pytest.raises(TimeoutError):
        await echo.answer(request("the capital"))
    assert await echo.answer(request("sum")) == 3
    assert (await echo.answer(request("else"))).text == "else"


@pytest.mark.parametrize("script", [[], {"never": "said"}, lambda request: None])
async def test_strict_names_the_prompt_that_has_no_answer(script: Any) -> None:
    """A test's script that is over is an error, not an echo."""
    with pytest.raises(CallFailed, match="no answer to 'What now\\?'") as caught:
        await Echo(script, strict=True).answer(request("What now?"))
    assert caught.value.category is Category.INVALID_REQUEST
    with pytest.raises(CallFailed) as caught:
        await Echo(script, strict=True).answer(request("x" * 10_000))
    assert len(str(caught.value)) < 300


async def test_an_exception_can_be_raised_for_ever_without_growing() -> None:
    """Its traceback is of the last raise only."""
    echo = Echo({"": ValueError("again")})
    depths = []
    for _ in range(5):
        with pytest.raises(ValueError) as caught:
            await echo.answer(request())
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1


async def test_calls_are_kept_on_request_and_bounded() -> None:
    """Only the last 10,000, so that a long run costs no memory."""
    echo = Echo(keep_calls=True)
    assert (await echo.answer(request("kept"))).text == "kept"
    assert [call.prompt for call in echo.calls] == ["kept"]
    assert echo.calls.maxlen == CALLS


@pytest.mark.parametrize("script", ["text", b"bytes", ValueError("one"), Response(), 7])
def test_what_is_no_script_is_refused(script: Any) -> None:
    """One text is not a queue of letters."""
    with pytest.raises(SettingsError, match=type(script).__name__):
        Echo(script)
