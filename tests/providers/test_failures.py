"""A provider's failures, as errors."""

from __future__ import annotations

import pytest

from streamer.errors import Category
from streamer.providers.failures import Failures


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff\xfe", b"[" * 100_000, b"null", b'{"error": null}', b"x" * 100_000]
)
def test_any_body_of_a_refusal_will_do(body: bytes) -> None:
    """The status is enough, and the message is short."""
    error = Failures("acme").refused(500, body, {}, 0.0)
    assert error.category is Category.SERVER_ERROR
    assert str(error).startswith("acme answered 500")
    assert len(str(error)) <= 500


def test_the_secret_never_shows() -> None:
    """Also where a server sends it back, and where the message is cut."""
    failures = Failures("acme", secret="sk-secret")
    for body in (
        b"x" * 490 + b"sk-secret",
        b'{"error": {"message": "bad key sk-secret", "code": "sk-secret"}}',
    ):
        assert "sk-" not in str(failures.refused(401, body, {}, 0.0))
    assert "sk-" not in str(failures.in_band({"message": "bad key sk-secret"}))
