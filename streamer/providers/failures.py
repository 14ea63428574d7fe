"""A provider's failures, as errors with a category and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from streamer.errors import CallFailed, Category
from streamer.providers.refusals import category_of_refusal, explained, retry_after
from streamer.results import Usage

MESSAGE = 500
"""Characters of a sentence; what a provider says may be a page."""
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises of bytes that are not what they should be."""


class Failures:
    """The errors of one provider, each with its name. ``secret`` never shows in one."""

    def __init__(self, provider: str, secret: str | None = None) -> None:
        self.provider = provider
        self.secret = secret

    def refused(self, status: int, body: bytes, headers: Mapping[str, str], now: float) -> CallFailed:
        """The error that a status, a body and headers are; ``now`` is the time of day in seconds."""
        try:
            codes, message = explained(msgspec.json.decode(body))
        except UNREADABLE:
            codes, message = (), body.decode(errors="replace")
        if 300 <= status < 400:
            message = f"moved to {headers.get('location', 'elsewhere')}; the base URL is not the one to call"
        return CallFailed(
            category_of_refusal(status, codes),
            self.sentence(f"{self.provider} answered {status}", codes, message),
            provider=self.provider,
            http_status=status,
            retry_after=retry_after(headers, now),
        )

    def in_band(self, error: Any, usage: Usage | None = None) -> CallFailed:
        """The error that arrived inside an answer that began well; a code that is a number is a status."""
        codes, message = explained({"error": error})
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else None
        return CallFailed(
            category_of_refusal(status, codes),
            self.sentence(f"{self.provider} failed while it answered", codes, message),
            provider=self.provider,
            http_status=status,
            usage=usage,
        )

    def invalid(self, message: str, usage: Usage | None = None) -> CallFailed:
        """The error that an answer is which is not one."""
        return CallFailed(Category.INVALID_RESPONSE, message, provider=self.provider, usage=usage)

    def sentence(self, what: str, codes: tuple[str, ...], message: str) -> str:
        """What happened, in at most 500 characters, without the secret."""
        text = f"{what} ({codes[0]})" if codes else what
        text = f"{text}: {message}" if message else f"{text}."
        if self.secret:
            text = text.replace(self.secret, "***")
        return text if len(text) <= MESSAGE else f"{text[: MESSAGE - 1]}…"
