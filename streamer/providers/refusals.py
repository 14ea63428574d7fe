"""What refusals mean: a status, codes and headers in, a category and a wait out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any

from streamer.errors import Category

DECISIVE: dict[str, Category] = {
    "billing_error": Category.QUOTA,
    "billing_hard_limit_reached": Category.QUOTA,
    "billing_not_active": Category.QUOTA,
    "credit_balance_exhausted": Category.QUOTA,
    "exceeded_current_quota_error": Category.QUOTA,
    "insufficient_balance": Category.QUOTA,
    "insufficient_credits": Category.QUOTA,
    "insufficient_quota": Category.QUOTA,
    "organization_spend_limit_exceeded": Category.QUOTA,
    "organization_usage_limit_exceeded": Category.QUOTA,
    "project_spend_limit_exceeded": Category.QUOTA,
    "quota_exceeded": Category.QUOTA,
    "context_length_exceeded": Category.CONTEXT_LENGTH,
    "context_window_exceeded": Category.CONTEXT_LENGTH,
    "exceed_context_size_error": Category.CONTEXT_LENGTH,  # llama.cpp
    "model_max_prompt_tokens_exceeded": Category.CONTEXT_LENGTH,
    "param:input_tokens": Category.CONTEXT_LENGTH,  # vLLM names only the parameter
    "content_filter": Category.CONTENT_FILTER,
    "content_policy_violation": Category.CONTENT_FILTER,
    "data_inspection_failed": Category.CONTENT_FILTER,
    "moderation_blocked": Category.CONTENT_FILTER,
    "responsibleaipolicyviolation": Category.CONTENT_FILTER,
}
"""Codes that say more than the status they come with."""

STATUSES: dict[int, Category] = {
    401: Category.AUTHENTICATION,
    402: Category.QUOTA,
    403: Category.PERMISSION,
    408: Category.NETWORK,  # the request did not arrive in time
    409: Category.SERVER_ERROR,  # a lock that someone else holds; passes
    425: Category.NETWORK,  # too early on a resumed connection
    429: Category.RATE_LIMIT,
    498: Category.OVERLOADED,  # Groq: no capacity
    503: Category.OVERLOADED,
    529: Category.OVERLOADED,
}

IN_BAND: dict[str, Category] = {
    "authentication_error": Category.AUTHENTICATION,
    "invalid_api_key": Category.AUTHENTICATION,
    "permission_error": Category.PERMISSION,
    "rate_limit_error": Category.RATE_LIMIT,
    "rate_limit_exceeded": Category.RATE_LIMIT,
    "requests": Category.RATE_LIMIT,
    "tokens": Category.RATE_LIMIT,
    "engine_overloaded_error": Category.OVERLOADED,
    "overloaded_error": Category.OVERLOADED,
    "server_is_overloaded": Category.OVERLOADED,
    "service_unavailable_error": Category.OVERLOADED,
    "slow_down": Category.OVERLOADED,
    "badrequesterror": Category.INVALID_REQUEST,
    "invalid_request_error": Category.INVALID_REQUEST,
}
"""Codes that decide where no status does: of an error inside an answer that began well."""


def category_of_refusal(status: int | None, codes: Iterable[str] = ()) -> Category:
    """The category of an HTTP status and the provider's codes; ``None``, or 2xx: an error inside an answer.

    A status that is not known counts by its class: 5xx may pass, the rest is permanent.
    """
    codes = [code.lower() for code in codes]
    for code in codes:
        if code in DECISIVE:
            return DECISIVE[code]
    if status is None or 200 <= status < 300:
        return next((IN_BAND[code] for code in codes if code in IN_BAND), Category.SERVER_ERROR)
    return STATUSES.get(status) or (Category.SERVER_ERROR if status >= 500 else Category.INVALID_REQUEST)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a provider asks to wait; ``None`` if it doesn't say, or not so that it can be read.

    ``retry-after-ms``, ``Retry-After`` as seconds or as a date (by the server's own clock, where it tells the
    time), else the reset of a used-up ``x-ratelimit-*``. ``now`` is the time of day in seconds.
    """
    if (milliseconds := number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1_000
    asked = headers.get("retry-after")
    if asked is not None:
        if (seconds := number(asked)) is not None:
            return seconds
        until = instant(asked)
        if until is not None:
            return max(0.0, until - (instant(headers.get("date")) or now))
    resets = [
        duration(headers.get(f"x-ratelimit-reset-{kind}"))
        for kind in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{kind}") == "0"
    ]
    return max((reset for reset in resets if reset is not None), default=None)


def number(text: str | None) -> float | None:
    """A number of at least 0."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return max(0.0, value) if isfinite(value) else None


def instant(text: str | None) -> float | None:
    """An HTTP date as the time of day in seconds."""
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError):
        return None


def duration(text: str | None) -> float | None:
    """Seconds of ``6m0s``, ``20ms``, or a plain number."""
    if text is None or (plain := number(text)) is not None:
        return None if text is None else plain
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?(?:([\d.]+)ms)?", text)
    if found is None or not text:
        return None
    scales = (3_600, 60, 1, 0.001)
    return sum(scale * (number(part) or 0.0) for scale, part in zip(scales, found.groups(), strict=True))


def explained(body: Any) -> tuple[tuple[str, ...], str]:
    """The codes of an error's body, the telling ones first, and its message, in any of the usual shapes."""
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return (), error if isinstance(error, str) else ""
    inner = error.get("innererror")
    found = [
        error.get("code"),
        error.get("type"),
        error.get("status"),
        inner.get("code") if isinstance(inner, dict) else None,
    ]
    if isinstance(error.get("param"), str):
        found.append(f"param:{error['param']}")
    message = error.get("message") or error.get("detail")
    return tuple(code for code in found if isinstance(code, str)), message if isinstance(message, str) else ""
