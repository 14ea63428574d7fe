"""What a record that can't be processed becomes: itself, with the reason in its headers."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple

from streamer.errors import InvalidTask
from streamer.results import Result

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
RUN = ("poison", "failed")
"""The reasons of what was read well."""


class Problem(NamedTuple):
    """What a dead letter says of why it is one."""

    reason: str
    type: str
    message: str
    cause: BaseException | None
    task_id: str | None


def dead_letter_headers(
    message: Any, problem: InvalidTask | Result, topology: str, client_id: str
) -> Headers:
    """The original headers, then Kafka Connect's, then ours. Numbers are UTF-8 text, as Connect writes them."""
    reason, kind, text, cause, task_id = (
        unanswered(problem) if isinstance(problem, Result) else refused(problem)
    )
    stage, place = RUNNING if reason in RUN else DECODING
    added = {
        FIRST: message.topic,
        f"{CONNECT}partition": str(message.partition),
        f"{CONNECT}offset": str(message.offset),
        f"{CONNECT}connector.name": topology,
        f"{CONNECT}task.id": client_id,
        f"{CONNECT}stage": stage,
        f"{CONNECT}class.name": place,
        f"{CONNECT}exception.class.name": kind,
        f"{CONNECT}exception.message": text[:LONGEST_MESSAGE],
    }
    if cause is not None:
        added[f"{CONNECT}exception.stacktrace"] = trace(cause)
    added[REASON] = reason
    kept = original(message.headers)
    if task_id is not None and dict(kept).get(TASK_ID) != task_id.encode("utf-8", "replace"):
        added[TASK_ID] = task_id
    return kept + [(name, text.encode("utf-8", "replace")) for name, text in added.items()]


def refused(problem: InvalidTask) -> Problem:
    """Of a record that was not run, or not again."""
    cause = problem.__cause__
    return Problem(problem.reason, full_name(cause or problem), str(problem), cause, problem.task_id)


def unanswered(result: Result) -> Problem:
    """Of a task whose result says what went wrong: its category stands before its message."""
    error = result.error
    if error is None:
        return Problem("failed", result.status.value, "The result names no error.", None, result.task_id)
    return Problem(
        "failed", error.type, f"{error.category.value}: {error.message}", error.exception, result.task_id
    )


def original(headers: Sequence[tuple[str, bytes | None]] | None) -> Headers:
    """A record's headers as a producer takes them; a null value becomes an empty one."""
    return [(name, value if value is not None else b"") for name, value in headers or ()]


def own(headers: Headers) -> Headers:
    """The headers of a dead letter without what it added to the record's own."""
    last = max((index for index, (name, _) in enumerate(headers) if name == FIRST), default=len(headers))
    return headers[:last]


def added(headers: Headers) -> Headers:
    """What a dead letter added to the record's own."""
    return headers[len(own(headers)) :]


def full_name(error: BaseException) -> str:
    """An exception's class with its module, as Java writes it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def trace(error: BaseException) -> str:
    """Where it was raised; of a long trace the end, which says most."""
    text = "".join(traceback.format_exception(error, chain=False))
    data = text.encode("utf-8", "replace")
    return text if len(data) <= LONGEST_TRACE else str(data[-LONGEST_TRACE:], "utf-8", "ignore")
