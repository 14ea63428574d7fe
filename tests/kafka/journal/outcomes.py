"""Outcomes to note, told apart by a serial number."""

from datetime import UTC, datetime
from typing import Any

from streamer.events import Answer, Outcome
from streamer.results import Attempt, Status

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)


def outcome(
    serial: int = 0, *, path: str = "a", number: int = 1, value: Any = "Paris", **more: Any
) -> Outcome:
    attempt = Attempt(
        id=f"t/{path}#{number}",
        provider="openai",
        model="m",
        outcome=Status.SUCCEEDED,
        category=None,
        started_at=NOON,
        duration=1.5,
        time_to_first_token=None,
        usage=None,
        cost=0.01,
        violations=(),
    )
    return Outcome(
        path=path,
        number=number,
        digest=serial.to_bytes(8),
        attempt=attempt,
        answer=Answer(value=value),
        **more,
    )
