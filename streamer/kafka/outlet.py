"""One output partition: what waits for it, and the one batch that is under way to it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from streamer.kafka.dead_letters import Headers
from streamer.kafka.record import Record
from streamer.results import Result

MODEST = 16_384
"""A topic that takes no record of so many bytes is set wrongly, and is waited for."""
BATCH_BYTES = 262_144
"""Below every broker's default limit, so that only a single large result can be refused for its size."""


class Outgoing(NamedTuple):
    """What is to be written for one record."""

    record: Record
    key: bytes | None
    value: bytes | None
    headers: Headers
    result: Result | None
    reduced: bool = False
    """It is what was left of something larger."""
    also: tuple[str, Outgoing] | None = None
    """What else is written for the record, and its topic: it is finished when both are acknowledged."""

    @property
    def size(self) -> int:
        """Bytes, about."""
        names = sum(len(name) + len(text or b"") for name, text in self.headers)  # a traceparent may be null
        return len(self.key or b"") + len(self.value or b"") + names

    @property
    def can_be_less(self) -> bool:
        """Whether something smaller can stand for it where it is refused."""
        return not self.reduced or self.size > MODEST


class Outlet:
    """Writes one batch at a time, in order: with one in flight, a batch that is sent again overtakes nothing.

    Invariant: an outgoing is in ``waiting`` or in ``sent``, never in both; what is refused goes back to the front.
    """

    __slots__ = ("number", "one_by_one", "place", "sent", "topic", "waiting")

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.place = f"{topic}-{number}"
        self.waiting: deque[Outgoing] = deque()
        self.sent: list[Outgoing] = []
        self.one_by_one = 0
        """How many of the first are to be sent alone, to find the one that the broker refuses."""

    @property
    def idle(self) -> bool:
        return not self.sent

    def put_back(self) -> list[Outgoing]:
        """What was sent is to be sent again, before all else."""
        sent = self.sent
        self.sent = []
        self.waiting.extendleft(reversed(sent))
        return sent
