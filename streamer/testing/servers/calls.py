"""Calls as the server saw them, in memory and in a log."""

from __future__ import annotations

from io import FileIO
from typing import Any, Literal

import msgspec
from msgspec import Struct

ENCODE = msgspec.json.Encoder().encode


class Call(Struct, kw_only=True):
    """One call as the server saw it. Instants are seconds of the time of day.

    ``answered_at``: when the last byte was given to the socket, of a refusal too (``status`` says which);
    None of what hung, stalled, was cut or reset, and of what the client did not wait for.
    """

    number: int
    received_at: float
    attempt_id: str
    prompt: str
    body: dict[str, Any]
    headers: dict[str, str]
    answered_at: float | None = None
    status: int | None = None
    fault: str | None = None

    @property
    def paid(self) -> bool:
        """Whether a provider would bill it: it was answered, and neither refused nor failed."""
        return self.answered_at is not None and self.status == 200 and self.fault != "in_band"


class Log:
    """A file that gets a line of JSON per event, past every buffer of this process."""

    def __init__(self, path: str) -> None:
        self.file = FileIO(path, "a")

    def tell(self, event: Literal["received", "answered"], at: float, call: Call) -> None:
        """Write a line; ``at`` is in seconds of the time of day."""
        line = {"event": event, "at": at, "number": call.number, "attempt_id": call.attempt_id}
        more = {"prompt": call.prompt, "status": call.status, "fault": call.fault}
        self.file.write(ENCODE({**line, **more}) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def prompt_of(body: dict[str, Any]) -> str:
    """The text of the last message, whatever else a client sent."""
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    content = last.get("content") if isinstance(last, dict) else None
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))
