"""What refusals mean."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import RETRIED, Category
from streamer.providers.refusals import category_of_refusal, explained, retry_after

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (301, None, Category.INVALID_REQUEST),
        (400, None, Category.INVALID_REQUEST),
        (400, "context_length_exceeded", Category.CONTEXT_LENGTH),
        (400, "exceed_context_size_error", Category.CONTEXT_LENGTH),
        (400, "param:input_tokens", Category.CONTEXT_LENGTH),
        (413, "context_length_exceeded", Category.CONTEXT_LENGTH),
        (400, "content_filter", Category.CONTENT_FILTER),
        (400, "content_policy_violation", Category.CONTENT_FILTER),
        (403, "content_filter", Category.CONTENT_FILTER),
        (400, "ResponsibleAIPolicyViolation", Category.CONTENT_FILTER),
        (400, "rate_limit_exceeded", Category.INVALID_REQUEST),
        (401, None, Category.AUTHENTICATION),
        (401, "invalid_api_key", Category.AUTHENTICATION),
        (402, None, Category.QUOTA),
        (403, None, Category.PERMISSION),
        (404, "model_not_found", Category.INVALID_REQUEST),
        (405, None, Category.INVALID_REQUEST),
        (408, None, Category.NETWORK),
        (409, None, Category.SERVER_ERROR),
        (413, "rate_limit_exceeded", Category.INVALID_REQUEST),
        (418, None, Category.INVALID_REQUEST),
        (422, None, Category.INVALID_REQUEST),
        (425, None, Category.NETWORK),
        (429, None, Category.RATE_LIMIT),
        (429, "rate_limit_exceeded", Category.RATE_LIMIT),
        (429, "a_code_of_tomorrow", Category.RATE_LIMIT),
        (429, "insufficient_quota", Category.QUOTA),
        (429, "billing_hard_limit_reached", Category.QUOTA),
        (429, "credit_balance_exhausted", Category.QUOTA),
        (429, "project_spend_limit_exceeded", Category.QUOTA),
        (498, None, Category.OVERLOADED),
        (500, None, Category.SERVER_ERROR),
        (501, None, Category.SERVER_ERROR),
        (502, None, Category.SERVER_ERROR),
        (503, None, Category.OVERLOADED),
        (503, "slow_down", Category.OVERLOADED),
        (504, None, Category.SERVER_ERROR),
        (520, None, Category.SERVER_ERROR),
        (529, None, Category.OVERLOADED),
        (None, None, Category.SERVER_ERROR),
        (None, "rate_limit_error", Category.RATE_LIMIT),
        (None, "overloaded_error", Category.OVERLOADED),
        (None, "insufficient_quota", Category.QUOTA),
        (None, "content_filter", Category.CONTENT_FILTER),
        (200, "invalid_request_error", Category.INVALID_REQUEST),
    ],
)
def test_a_status_and_a_code_have_a_category(
    status: int | None, code: str | None, category: Category
) -> None:
    """A telling code goes before the status, the status before any other code."""
    assert category_of_refusal(status, (code,) if code else ()) is category


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_retried(status: int) -> None:
    """By the default policy."""
    assert category_of_refusal(status) in RETRIED


@given(st.integers(400, 499).filter(lambda status: status not in (408, 409, 425, 429, 498)))
def test_any_other_4xx_is_permanent(status: int) -> None:
    """Nothing is gained by asking again."""
    assert category_of_refusal(status) not in RETRIED


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0.0),
        (
            {"retry-after": formatdate(NOW + 90, usegmt=True), "date": formatdate(NOW + 60, usegmt=True)},
            30.0,
        ),
        ({"retry-after": "Fri, 99 Foo 2027 00:00:00 GMT"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2.5s"}, 62.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h0m0s"}, 3600.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6"}, 6.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, None),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "6s"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "9s",
            },
            9.0,
        ),
        (
            {"retry-after": "1", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"},
            1.0,
        ),
    ],
)
def test_how_long_to_wait_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds, dates by the server's clock, resets of what is used up."""
    assert retry_after(headers, NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("body", "codes", "message"),
    [
        ({"error": {"message": "No.", "type": "t", "code": "c"}}, ("c", "t"), "No."),
        ({"error": {"message": "No.", "type": "t", "code": None}}, ("t",), "No."),
        ({"error": {"message": "No.", "code": 429, "status": "UNAVAILABLE"}}, ("UNAVAILABLE",), "No."),
        ([{"error": {"message": "No.", "code": 429}}], (), "No."),
        ({"error": "No."}, (), "No."),
        ({"object": "error", "message": "No.", "type": "t", "param": "p"}, ("t", "param:p"), "No."),
        ({"error": {"innererror": {"code": "deep"}, "code": "c"}}, ("c", "deep"), ""),
        ({"detail": "Not found"}, (), "Not found"),
        ({"detail": [{"loc": ["body"]}]}, (), ""),
        ({"error": {"code": ["c"], "message": {"a": 1}}}, (), ""),
        ([], (), ""),
        (None, (), ""),
        ("No.", (), "No."),
    ],
)
def test_codes_and_message_are_found_in_every_shape(body: Any, codes: tuple[str, ...], message: str) -> None:
    """OpenAI's, Azure's, Google's, vLLM's, FastAPI's, and none."""
    assert explained(body) == (codes, message)
