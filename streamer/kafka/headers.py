"""What a record's headers say of its task."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from streamer.errors import InvalidTask

DEADLINE = "streamer-deadline"
TASK_ID = "streamer-task-id"


class Garbled(tuple[tuple[str, bytes | None], ...]):
    """Headers with names that are no UTF-8: replacement characters stand for what could not be read."""

    __slots__ = ()


def check_names(message: Any) -> None:
    """What a header is called may matter: one whose name can't be read is not one to ignore."""
    if isinstance(message.headers, Garbled):
        names = ", ".join(repr(name) for name, _ in message.headers if "\ufffd" in name)
        raise InvalidTask("decode_error", f"A header's name is not UTF-8: {names[:200]}")


def header(message: Any, name: str) -> str | None:
    """A header's text; the first of that name."""
    for found, value in message.headers:
        if found == name and value:
            return str(value, "utf-8", "replace")
    return None


def check_deadline(message: Any) -> None:
    """A bound that can't be read is not a bound to ignore."""
    text = header(message, DEADLINE)
    if text is not None and instant(text) is None:
        raise InvalidTask(
            "validation_error", f"Header `{DEADLINE}` is no RFC 3339 instant with an offset: {text[:100]!r}"
        )


def instant(text: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 instant; None of anything else."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo is not None else None
