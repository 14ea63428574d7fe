"""What can become of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

from streamer.errors import Category
from streamer.providers.simulated import FAILURES, Draw, Simulated
from streamer.testing.servers.calls import Call

Kind = Literal[
    "status",
    "hang",
    "reset",
    "cut",
    "truncate",
    "stall",
    "malformed",
    "no_finish",
    "in_band",
    "no_done",
    "open",
]
CODES = {
    Category.QUOTA: "insufficient_quota",
    Category.CONTEXT_LENGTH: "context_length_exceeded",
    Category.CONTENT_FILTER: "content_filter",
}
KINDS: dict[Category, Kind] = {
    Category.NETWORK: "reset",
    Category.TIMEOUT: "hang",
    Category.INVALID_RESPONSE: "truncate",
}


class Fault(Struct, frozen=True, kw_only=True):
    """What becomes of one call; by default it is answered well.

    ``kind``, of a whole answer and of a streamed one:

    * ``status``: it is refused with ``status``, ``code``, ``message``, ``retry_after`` (seconds, or the
      header's text) and ``headers``
    * ``hang``: nothing is said; ``reset``: the connection is reset
    * ``cut``: the connection is dropped half-way; streamed, after ``at`` events
    * ``truncate``: the body ends half-way as if it were whole; streamed, after ``at`` events
    * ``stall``: nothing comes after the head; streamed, after ``at`` events
    * ``malformed``: the body is no JSON; streamed, the event number ``at`` (from 0) is none
    * ``no_finish``: there is no finish reason
    * ``in_band``: there is an error with ``code``; streamed, after ``at`` events
    * ``no_done``: streamed, the body ends without [DONE] and without a last blank line; ``open``: it does not
      even end

    ``delay`` is in seconds, before the first byte. ``text``, ``tool_calls``, ``finish_reason`` and ``usage``
    take the place of those of the answer.
    """

    kind: Kind | None = None
    status: int = 500
    code: str | None = None
    message: str = "It was told to fail."
    retry_after: float | str | None = None
    headers: Mapping[str, str] = {}
    at: int = 2
    delay: float = 0.0
    text: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    finish_reason: str = "stop"
    usage: dict[str, Any] | None = None


Rule = Fault | Iterable[Fault | None] | Callable[[Call], Fault | None]
WELL = Fault()


def drawn(draw: Draw, simulated: Simulated) -> Fault:
    """The fault that a draw is, where no rule decides."""
    if draw.outcome == "answer":
        return WELL
    if draw.outcome == "hang":
        return Fault(kind="hang")
    if draw.outcome == "truncation":
        return Fault(kind="truncate")
    error = simulated.error
    return Fault(
        kind=KINDS.get(error, "status"),
        status=FAILURES[error] or 200,
        code=CODES.get(error),
        retry_after=simulated.retry_after,
    )
