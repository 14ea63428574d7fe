"""What a record that can't be processed becomes: itself, with the reason in its headers."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from streamer.errors import InvalidTask

Headers = list[tuple[str, bytes]]
LONGEST_MESSAGE = 2_000
LONGEST_TRACE = 8_192
CONNECT = "__connect.errors."
"""What Kafka Connect's names begin with. ``topic`` is the first header that a dead letter adds to a record's own."""
FIRST = f"{CONNECT}topic"
REASON = "streamer-dead-letter-reason"
VALUE_BYTES = "streamer-dead-letter-value-bytes"
"""How large the value was, where the topic did not take it and it was left out."""
TASK_ID = "streamer-task-id"
DECODING = ("VALUE_CONVERTER", "streamer.decoding.Decoder")
RUNNING = ("TASK_PUT", "streamer.worker.Worker")


def dead_letter_headers(message: Any, problem: InvalidTask, topology: str, client_id: str) -> Headers:
    """The original headers, then Kafka Connect's, then ours. Numbers are UTF-8 text, as Connect writes them."""
    cause = problem.__cause__
    stage, place = RUNNING if problem.reason == "poison" else DECODING
    added = {
        FIRST: message.topic,
        f"{CONNECT}partition": str(message.partition),
        f"{CONNECT}offset": str(message.offset),
        f"{CONNECT}connector.name": topology,
        f"{CONNECT}task.id": client_id,
        f"{CONNECT}stage": stage,
        f"{CONNECT}class.name": place,
        f"{CONNECT}exception.class.name": full_name(cause or problem),
        f"{CONNECT}exception.message": str(problem)[:LONGEST_MESSAGE],
    }
    if cause is not None:
        added[f"{CONNECT}exception.stacktrace"] = trace(cause)
    added[REASON] = problem.reason
    kept = original(message.headers)
    if problem.task_id is not None and dict(kept).get(TASK_ID) != problem.task_id.encode("utf-8", "replace"):
        added[TASK_ID] = problem.task_id
    return kept + [(name, text.encode("utf-8", "replace")) for name, text in added.items()]


def original(headers: Sequence[tuple[str, bytes | None]] | None) -> Headers:
    """A record's headers as a producer takes them; a null value becomes an empty one."""
    return [(name, value if value is not None else b"") for name, value in headers or ()]


def own(headers: Headers) -> Headers:
    """The headers of a dead letter without what it added to the record's own."""
    last = max((index for index, (name, _) in enumerate(headers) if name == FIRST), default=len(headers))
    return headers[:last]


def full_name(error: BaseException) -> str:
    """An exception's class with its module, as Java writes it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def trace(error: BaseException) -> str:
    """Where it was raised; of a long trace the end, which says most."""
    text = "".join(traceback.format_exception(error, chain=False))
    data = text.encode("utf-8", "replace")
    return text if len(data) <= LONGEST_TRACE else str(data[-LONGEST_TRACE:], "utf-8", "ignore")
