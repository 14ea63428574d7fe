"""The wire format of chat completions, without a wire."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamer.errors import CallFailed, Category
from streamer.providers.completions import Told, count, read, text_of, usage_of
from streamer.providers.failures import Failures
from streamer.providers.protocol import Chunk
from streamer.results import Usage

ACME = Failures("acme")
USAGE = {"prompt_tokens": 5, "completion_tokens": 3}
MESSAGE = {"message": {"content": "a"}}


def tell(events: list[dict[str, Any]]) -> Chunk:
    told = Told(ACME)
    for event in events:
        told.take(msgspec.json.encode(event).decode())
    return told.end()


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, None),
        ([], None),
        ({}, None),
        ({"total_tokens": 5}, None),
        ({"prompt_tokens": 5}, Usage(input_tokens=5)),
        ({"prompt_tokens": 5.0, "completion_tokens": None}, Usage(input_tokens=5)),
        ({"prompt_tokens": "many", "completion_tokens": -1, "prompt_tokens_details": 7}, Usage()),
    ],
)
def test_a_strange_count_does_not_cost_the_answer(usage: Any, counted: Usage | None) -> None:
    """It was paid for."""
    assert usage_of(usage) == counted
    assert count(None, "prompt_tokens") == 0


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("a", "a"),
        ([{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "b"}, {"type": "text"}, 7], "a"),
    ],
)
def test_the_text_of_parts_is_their_text(content: Any, text: str) -> None:
    """What a model thought aloud is not the answer."""
    assert text_of(content) == text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {"content": "a"}}]}',
        b'{"choices": [{"message": {"content": "a"}, "finish_reason": null}]}',
        b'{"choices": [{"finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}',
        b'{"choices": [{"index": 1, "message": {"content": "a"}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": "\xff"}, "finish_reason": "stop"}]}',
        b'{"choices": ' + b"[" * 5_000,
    ],
)
def test_an_answer_that_lacks_anything_is_none(body: bytes) -> None:
    """A choice, its message and its finish reason."""
    with pytest.raises(CallFailed) as caught:
        read(body, ACME)
    assert caught.value.category is Category.INVALID_RESPONSE


@pytest.mark.parametrize(
    ("error", "category"),
    [
        ({"code": 429, "message": "Slow down."}, Category.RATE_LIMIT),
        ({"code": 502, "message": "Upstream."}, Category.SERVER_ERROR),
        ({"code": "content_filter"}, Category.CONTENT_FILTER),
        ("overloaded", Category.SERVER_ERROR),
    ],
)
def test_an_error_of_a_choice_is_an_error(error: Any, category: Category) -> None:
    """As routers of many models send it; a code that is a number is a status."""
    body = msgspec.json.encode({"choices": [{"error": error, "finish_reason": "error"}]})
    for decode in (lambda: read(body, ACME), lambda: Told(ACME).take(body.decode())):
        with pytest.raises(CallFailed) as caught:
            decode()
        assert caught.value.category is category


def test_an_error_that_is_an_event_of_its_own_is_an_error() -> None:
    """As older servers of one's own send it."""
    event = '{"object": "error", "message": "No.", "type": "BadRequestError", "code": 400}'
    with pytest.raises(CallFailed, match="No") as caught:
        Told(ACME).take(event)
    assert (caught.value.category, caught.value.http_status) == (Category.INVALID_REQUEST, 400)


def test_a_refusal_is_no_answer() -> None:
    """The model's own is of the content, as is the provider's."""
    body = {"choices": [{"message": {"content": None, "refusal": "I can't."}, "finish_reason": "stop"}]}
    with pytest.raises(CallFailed, match="I can't") as caught:
        read(msgspec.json.encode(body), ACME)
    assert caught.value.category is Category.CONTENT_FILTER


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{**MESSAGE, "finish_reason": "content_filter"}]},
        {"choices": [{"message": {"refusal": "I can't."}, "finish_reason": "stop"}]},
        {"choices": [{**MESSAGE, "finish_reason": "error"}]},
        {"choices": [MESSAGE]},
        {"choices": []},
        {"choices": [{"error": "overloaded"}]},
        {"error": "overloaded"},
        {"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]},
        {"choices": 7},
    ],
)
def test_a_failure_has_the_usage_that_was_told(answer: dict[str, Any]) -> None:
    """It was paid for all the same."""
    with pytest.raises(CallFailed) as caught:
        read(msgspec.json.encode({**answer, "usage": USAGE}), ACME)
    assert caught.value.usage == Usage(input_tokens=5, output_tokens=3)
    with pytest.raises(CallFailed) as caught:
        read(msgspec.json.encode(answer), ACME)
    assert caught.value.usage is None


@pytest.mark.parametrize(
    "last",
    [
        {"choices": []},
        {"choices": [{"delta": {}, "finish_reason": "content_filter"}]},
        {"choices": [{"delta": {}, "finish_reason": "error"}]},
        {"choices": [{"delta": {"tool_calls": [{}]}}]},
        {"choices": [{"error": "overloaded"}]},
        {"error": "overloaded"},
        {"object": "error", "message": "overloaded"},
    ],
)
def test_a_failed_stream_has_the_usage_that_was_told(last: dict[str, Any]) -> None:
    """With the last event, or long before it."""
    for events in ([{**last, "usage": USAGE}], [{"usage": USAGE}, last]):
        with pytest.raises(CallFailed) as caught:
            tell(events)
        assert caught.value.usage == Usage(input_tokens=5, output_tokens=3)
