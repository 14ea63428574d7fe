"""X15: what an error counts as: by its type, status and provider code, and never by the words of its message."""

import json

import pytest

from streamer import fallback, retry
from streamer.errors import RETRIED, CallFailed, Category, category_of
from streamer.operand import as_single
from streamer.providers.failures import Failures
from streamer.providers.registry import Registry
from tests.operators.doubles import Script, result_of

pytestmark = pytest.mark.virtual_time


def http(status: int, code: str | None = None, message: str = "") -> CallFailed:
    """What a provider's answer over HTTP is."""
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Failures("acme").refused(status, body, {}, 0.0)


TABLE = {
    "400": (http(400), Category.INVALID_REQUEST),
    "401": (http(401), Category.AUTHENTICATION),
    "402": (http(402), Category.QUOTA),
    "403": (http(403), Category.PERMISSION),
    "404, no such model": (http(404, "model_not_found"), Category.INVALID_REQUEST),
    "408": (http(408), Category.NETWORK),
    "409": (http(409), Category.SERVER_ERROR),
    "413": (http(413), Category.INVALID_REQUEST),
    "422": (http(422), Category.INVALID_REQUEST),
    "425": (http(425), Category.NETWORK),
    "429": (http(429), Category.RATE_LIMIT),
    "429, nothing left to spend": (http(429, "insufficient_quota"), Category.QUOTA),
    "500": (http(500), Category.SERVER_ERROR),
    "503": (http(503), Category.OVERLOADED),
    "529": (http(529), Category.OVERLOADED),
    "400, too long for the model": (http(400, "context_length_exceeded"), Category.CONTEXT_LENGTH),
    "400, withheld": (http(400, "content_filter"), Category.CONTENT_FILTER),
    "a connection that broke": (ConnectionResetError("peer"), Category.NETWORK),
    "a timeout": (TimeoutError("late"), Category.TIMEOUT),
    "a bug": (TypeError("missing 1 required argument"), Category.INTERNAL),
}
ROWS = pytest.mark.parametrize(("error", "category"), TABLE.values(), ids=TABLE)


def test_x15_the_table_has_twenty_rows():
    assert len(TABLE) == 20


@ROWS
async def test_x15_the_category_of_a_call_and_whether_it_is_made_again(error, category):
    """By the default retry: what passes by itself three times, all else once."""
    script = Script(error)
    model = Registry().declare(lambda _: script(), {"name": "model"})
    result = await result_of(retry(3, initial_delay=0.01)(model("?")))
    assert result.error.category is category
    assert len(script.began) == len(result.attempts) == (3 if category in RETRIED else 1)
    assert {attempt.category for attempt in result.attempts} == {category}
    assert result.error.exception is error


MISLEADING = [
    "AssertionError: assertion passed while it processed the sse stream",
    "I am uncertain about the certificate of deposit, SSL and certificates",
    "timeout timed out 429 rate limit exceeded, too many requests",
    "connection reset by peer ECONNRESET network fetch failed",
    "401 unauthorized 403 forbidden invalid api key",
    "context_length_exceeded insufficient_quota content_filter",
    "500 502 503 504 server error overloaded",
]


@pytest.mark.parametrize("message", MISLEADING)
async def test_x15_words_decide_nothing(message):
    """The same error with other words is the same error; user code may say what it likes."""
    assert category_of(RuntimeError(message)) is Category.INTERNAL
    assert category_of(AssertionError(message)) is Category.INTERNAL
    for status, _code, category in (
        (400, None, "invalid_request"),
        (429, None, "rate_limit"),
        (500, None, "server_error"),
    ):
        assert http(status, message=message).category == category
    script = Script(RuntimeError(message))
    result = await result_of(retry(3)(script))
    assert (result.error.category, len(script.began)) == (Category.INTERNAL, 1)


@pytest.mark.parametrize(
    "kind",
    [KeyError, TypeError, ValueError, AttributeError, AssertionError, ZeroDivisionError, NotImplementedError],
)
async def test_x15_a_programming_error_is_permanent(kind):
    script = Script(kind("a bug"))
    result = await result_of(retry(3)(script))
    assert (result.error.category, len(script.began)) == (Category.INTERNAL, 1)


@pytest.mark.parametrize("status", range(400, 600))
def test_x15_of_every_other_status_its_class_decides(status):
    """4xx is permanent but for 408, 409, 425, 429 and 498; 5xx may pass."""
    retried = http(status).category in RETRIED
    assert retried == (status >= 500 or status in (408, 409, 425, 429, 498))


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (http(401), True),
        (http(429, "insufficient_quota"), True),
        (http(500), True),
        (http(400, "content_filter"), False),
    ],
    ids=["authentication", "quota", "server_error", "content_filter"],
)
async def test_x15_whether_another_is_asked_goes_by_the_category(error, goes_on):
    """Nobody routes around a refusal of the content unless told to."""
    other = Script("other")
    result = await result_of(fallback(Script(error), other))
    assert (len(other.began), result.succeeded) == (int(goes_on), goes_on)


async def test_x15_one_classifier_for_all():
    """A combinator's failure, a result's and a retry's are of the same category."""
    for error, category in TABLE.values():
        result = await result_of(as_single(Script(error)))
        around = await result_of(fallback(Script(error)))
        assert result.error.category is around.error.category is category_of(error) is category


def simulated(category: str) -> dict:
    return {
        "kind": "llm",
        "model": f"simulated:m?error_rate=1&error={category}",
        "prompt": "?",
        "retry": {"max_attempts": 2, "initial_delay": 0.01},
    }


NAMES = [
    *("network", "timeout", "rate_limit", "overloaded", "server_error", "quota", "authentication"),
    *("permission", "invalid_request", "context_length", "content_filter", "invalid_response"),
]
WIRE = {f"x15-{name}": simulated(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
async def test_x15_on_the_wire(answer, name):
    result = await answer(f"x15-{name}")
    assert (result["status"], result["error"]["category"]) == ("failed", name)
    assert len(result["attempts"]) == (2 if Category(name) in RETRIED else 1)
