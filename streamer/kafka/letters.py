"""Dead letters as they are read: what their headers say, and which ones are wanted."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from streamer.kafka.dead_letters import CONNECT, FIRST, REASON, TASK_ID, VALUE_BYTES

UNKNOWN = "unknown"
"""The reason of what somebody else put there."""


class DeadLetter(NamedTuple):
    """One dead letter. ``at`` is in seconds since the epoch; what no header says is None."""

    record: Any
    address: str
    at: float
    reason: str
    task_id: str | None
    topic: str | None
    partition: int | None
    offset: int | None
    message: str
    value_bytes: int | None

    @property
    def origin(self) -> str | None:
        """Where the record first was."""
        if self.topic is None:
            return None
        return "-".join(str(part) for part in (self.topic, self.partition, self.offset) if part is not None)


def dead_letter(record: Any) -> DeadLetter:
    """What the headers of a polled record say; of a name that is there twice the last one holds."""
    headers = {name: str(value or b"", "utf-8", "replace") for name, value in record.headers}
    return DeadLetter(
        record=record,
        address=f"{record.partition}-{record.offset}",
        at=record.timestamp / 1000,
        reason=headers.get(REASON) or UNKNOWN,
        task_id=headers.get(TASK_ID),
        topic=headers.get(FIRST) or None,
        partition=number(headers.get(f"{CONNECT}partition")),
        offset=number(headers.get(f"{CONNECT}offset")),
        message=headers.get(f"{CONNECT}exception.message", ""),
        value_bytes=number(headers.get(VALUE_BYTES)),
    )


def number(text: str | None) -> int | None:
    """A count of a header; None of anything else."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


class Wanted(NamedTuple):
    """Which dead letters are meant: those of ``reasons`` (empty: any), from ``since`` on and before ``until``."""

    reasons: frozenset[str] = frozenset()
    since: float | None = None
    until: float | None = None

    def matches(self, letter: DeadLetter) -> bool:
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
        )


def totals(counts: Counter[str]) -> str:
    """``3 dead letters: 2 decode_error, 1 poison``."""
    total = counts.total()
    by_reason = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return f"{total} dead letter{'s'[: total != 1]}{': ' if by_reason else ''}{by_reason}"
