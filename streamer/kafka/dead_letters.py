"""What a record that can't be processed becomes: itself, with the reason in its headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamer.errors import InvalidTask

Headers = list[tuple[str, bytes]]
LONGEST_MESSAGE = 2_000
REASON = "streamer-dead-letter-reason"
TASK_ID = "streamer-task-id"


def dead_letter_headers(message: Any, problem: InvalidTask, topology: str, client_id: str) -> Headers:
    """The original headers, Kafka Connect's, ours. Numbers are UTF-8 text, as Connect writes them."""
    added = {
        "__connect.errors.topic": message.topic,
        "__connect.errors.partition": str(message.partition),
        "__connect.errors.offset": str(message.offset),
        "__connect.errors.connector.name": topology,
        "__connect.errors.task.id": client_id,
        "__connect.errors.stage": "VALUE_CONVERTER",
        "__connect.errors.class.name": "streamer.decoding.Decoder",
        "__connect.errors.exception.class.name": type(problem.__cause__ or problem).__name__,
        "__connect.errors.exception.message": str(problem)[:LONGEST_MESSAGE],
        REASON: problem.reason,
    }
    if problem.task_id is not None:
        added[TASK_ID] = problem.task_id
    kept = [(name, value) for name, value in original(message.headers) if name not in added]
    return kept + [(name, text.encode("utf-8", "replace")) for name, text in added.items()]


def original(headers: Sequence[tuple[str, bytes | None]] | None) -> Headers:
    """A record's headers as a producer takes them; a null value becomes an empty one."""
    return [(name, value if value is not None else b"") for name, value in headers or ()]
