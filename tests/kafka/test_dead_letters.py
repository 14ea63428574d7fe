"""A dead letter: the record as it came, and in its headers why it is one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from streamer.decoding import Decoder
from streamer.errors import InvalidTask
from streamer.kafka.dead_letters import LONGEST_TRACE, dead_letter_headers, own
from streamer.kafka.reasons import REASONS

CONNECT = "__connect.errors."


def message(*headers: tuple[str, bytes | None], topic: str = "tasks") -> Any:
    return SimpleNamespace(topic=topic, partition=3, offset=41, headers=headers)


def refused(value: bytes) -> InvalidTask:
    with pytest.raises(InvalidTask) as caught:
        Decoder().decode(value)
    return caught.value


def test_it_has_kafka_connects_headers() -> None:
    """Tools that read Connect's dead letters read these."""
    problem = refused(b'{"id": "t1", "kind": "llm", "prompt": 7}')
    headers = dict(dead_letter_headers(message(), problem, "tasks", "client-1"))
    trace = headers.pop(f"{CONNECT}exception.stacktrace")
    assert headers == {
        f"{CONNECT}topic": b"tasks",
        f"{CONNECT}partition": b"3",
        f"{CONNECT}offset": b"41",
        f"{CONNECT}connector.name": b"tasks",
        f"{CONNECT}task.id": b"client-1",
        f"{CONNECT}stage": b"VALUE_CONVERTER",
        f"{CONNECT}class.name": b"streamer.decoding.Decoder",
        f"{CONNECT}exception.class.name": b"msgspec.ValidationError",
        f"{CONNECT}exception.message": str(problem).encode(),
        "streamer-dead-letter-reason": b"validation_error",
        "streamer-task-id": b"t1",
    }
    assert trace.startswith(b"Traceback")
    assert b"msgspec.ValidationError: " in trace


def test_without_a_cause_there_is_no_stack_trace() -> None:
    """Poison was raised by nobody."""
    headers = dict(dead_letter_headers(message(), InvalidTask("poison", "Three times."), "tasks", "c"))
    assert f"{CONNECT}exception.stacktrace" not in headers
    assert headers[f"{CONNECT}exception.class.name"] == b"streamer.errors.InvalidTask"
    assert headers[f"{CONNECT}stage"] == b"TASK_PUT"


def test_the_stack_trace_is_bounded_and_keeps_its_end() -> None:
    """A dead letter is not larger than its topic takes because of how it was found."""
    problem = InvalidTask("decode_error", "It is long.")
    problem.__cause__ = ValueError("ä" * 50_000 + "the end")
    trace = dict(dead_letter_headers(message(), problem, "tasks", "c"))[f"{CONNECT}exception.stacktrace"]
    assert LONGEST_TRACE - 4 < len(trace) <= LONGEST_TRACE
    assert trace.decode().endswith("the end\n")


OWN = [
    [],
    [("mine", b"1"), ("mine", b"2")],
    [("streamer-task-id", b"t1")],
    [("streamer-task-id", b"another"), ("traceparent", b"00")],
    [(f"{CONNECT}topic", b"elsewhere"), (f"{CONNECT}offset", b"7"), ("streamer-dead-letter-reason", b"x")],
]


@pytest.mark.parametrize("headers", OWN)
def test_what_it_added_can_be_taken_off_again(headers: list[tuple[str, bytes]]) -> None:
    """Whatever the record's own headers are called; the last of a name is the dead letter's."""
    problem = InvalidTask("decode_error", "No.", "t1")
    added = dead_letter_headers(message(*headers), problem, "tasks", "c")
    assert own(added) == headers
    assert dict(added)["streamer-task-id"] == b"t1"
    assert dict(added)["streamer-dead-letter-reason"] == b"decode_error"
    assert dict(added)[f"{CONNECT}topic"] == b"tasks"


def test_every_reason_says_what_to_do() -> None:
    """In sentences."""
    assert set(REASONS) == {
        "decode_error",
        "validation_error",
        "unknown_kind",
        "too_large",
        "poison",
        "failed",
    }
    assert all(text.endswith(".") for reason in REASONS.values() for text in reason)
