"""An error as it travels: what of it a result, or a journal, can hold."""

from __future__ import annotations

from streamer.errors import CallFailed, category_of
from streamer.results import Failure

LONGEST_MESSAGE = 4_000


def failure(error: BaseException) -> Failure:
    """What of an exception travels; the exception itself stays with it in this process."""
    called = error if isinstance(error, CallFailed) else None
    original = (error.__cause__ if type(error) is CallFailed else None) or error
    text = said(error)
    made = Failure(
        category=category_of(error),
        type=type(original).__name__,
        message=text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + " …",
        provider=called.provider if called is not None else None,
        http_status=called.http_status if called is not None else None,
    )
    made.__dict__["exception"] = original
    return made


def said(error: BaseException) -> str:
    """What an exception says, as text that can travel, its notes included; its type where it says nothing, or can't."""
    try:
        text = " ".join((str(error) or type(error).__name__, *getattr(error, "__notes__", ())))
    except Exception:
        text = type(error).__name__
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate is no text
    return text
