"""What is written for a record: whatever a task's code answered, something can be."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from streamer.kafka.writing import Writer
from streamer.results import Attempt, Failure, Result, Status

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
FORMATS = pytest.mark.parametrize("content_type", [b"application/json", b"application/msgpack"])


def result(**changes: Any) -> Result:
    whole: dict[str, Any] = {"task_id": "q", "kind": "function", "status": Status.SUCCEEDED, "value": "Paris"}
    times: dict[str, Any] = dict.fromkeys(("received_at", "started_at", "finished_at"), NOON)
    return Result(**{**times, "queue_time": 0.0, "duration": 0.5, **whole, **changes})


def attempt(model: str) -> Attempt:
    nothing: dict[str, Any] = dict.fromkeys(("category", "time_to_first_token", "usage", "cost"))
    return Attempt(
        id="q#1",
        provider="p",
        model=model,
        outcome=Status.SUCCEEDED,
        started_at=NOON,
        duration=0.5,
        violations=(),
        **nothing,
    )


def written(whole: Result, content_type: bytes) -> dict[str, Any]:
    """The result as a consumer reads it, with its headers under ``headers``."""
    record: Any = SimpleNamespace(message=SimpleNamespace(headers=[("content-type", content_type)]), key=None)
    writer = Writer("answers", "dead", "questions", "client")
    topic, outgoing = writer.write((record, whole), None)
    assert (topic, outgoing.key) == ("answers", b"q")
    codec = msgspec.msgpack if content_type.endswith(b"msgpack") else msgspec.json
    return {**codec.decode(outgoing.value), "headers": dict(outgoing.headers)}


@FORMATS
def test_a_result(content_type: bytes) -> None:
    """It has its task's format, its id and its status."""
    said = written(result(metadata={"user": 5}), content_type)
    assert (said["value"], said["metadata"]) == ("Paris", {"user": 5})
    assert said["headers"] == {
        "streamer-task-id": b"q",
        "streamer-status": b"succeeded",
        "content-type": content_type,
    }


CHILD = result(value=object())
UNWRITABLE = [
    result(value=object()),
    result(value=float("nan")),
    result(value="\ud800"),
    result(value=3, children=(CHILD,)),
    result(value=3, children={"a": result(children=(CHILD,))}),
    result(error=Failure(category="internal", type="ValueError", message="\ud800")),
    result(attempts=(attempt("\ud800"),)),
    result(metadata={"a": object()}),
]


@FORMATS
@pytest.mark.parametrize("whole", UNWRITABLE)
def test_a_result_that_cannot_be_written(whole: Result, content_type: bytes) -> None:
    """It is a failed one that says why, wherever the trouble is; the worker goes on."""
    said = written(whole, content_type)
    assert (said["task_id"], said["status"], said["value"]) == ("q", "failed", None)
    assert said["error"]["category"] == "internal"
    assert "cannot" in said["error"]["message"]
    assert said["headers"]["streamer-status"] == b"failed"


BAD, GOOD, HELD = object(), result(value="so"), result(value=UNSET)


@FORMATS
@pytest.mark.parametrize(
    ("whole", "value", "statuses"),
    [
        (result(value=["so", BAD], children=(HELD, HELD)), ["so", None], ["succeeded", "failed"]),
        (result(value=[BAD, 2], children=(HELD, HELD)), [None, 2], ["failed", "succeeded"]),
        (result(value={"a": "so", "b": BAD}, children={"a": HELD, "b": HELD}),
         {"a": "so", "b": None}, ["succeeded", "failed"]),
        (result(value=["so", ["so", BAD]], children=(HELD, result(value=UNSET, children=(HELD, HELD)))),
         ["so", None], ["succeeded", "failed"]),
        (result(value=BAD, winner=1, children=(result(value="late"), HELD)), None, ["succeeded", "failed"]),
        (result(value=BAD, children=(GOOD, GOOD)), None, ["succeeded", "succeeded"]),
    ],
)  # fmt: skip
def test_one_value_that_cannot_be_written_costs_no_other(
    whole: Result, value: Any, statuses: list[str], content_type: bytes
) -> None:
    """All were paid for: only the child whose value it is fails by it, and with it what it is a part of."""
    said = written(whole, content_type)
    children = list(said["children"].values() if isinstance(said["children"], dict) else said["children"])
    assert (said["status"], said["value"]) == ("failed", value)
    assert [child["status"] for child in children] == statuses
    assert [child["error"]["type"] for child in children if child["status"] == "failed"] == ["Unwritable"] * (
        statuses.count("failed")
    )
    inner = children[1].get("children")
    assert inner is None or (children[1]["value"], inner[0]["status"]) == (["so", None], "succeeded")


@pytest.mark.parametrize("failed_too", [True, False])
@pytest.mark.parametrize("status", Status)
def test_which_results_are_dead_letters_besides(status: Status, failed_too: bool) -> None:
    """Those that were not answered, where it is asked for; the result is the same."""
    record: Any = SimpleNamespace(message=message(), key=None)
    writer = Writer("answers", "dead", "questions", "client", failed_too=failed_too)
    topic, outgoing = writer.write((record, result(status=status)), None)
    assert (topic, dict(outgoing.headers)["streamer-status"]) == ("answers", status.encode())
    assert (outgoing.also is not None) == (failed_too and status in {Status.FAILED, Status.TIMED_OUT})
    if outgoing.also is not None:
        place, letter = outgoing.also
        assert (place, letter.value, letter.result) == ("dead", b"as it came", None)
        assert dict(letter.headers)["streamer-dead-letter-reason"] == b"failed"


def message() -> Any:
    return SimpleNamespace(topic="tasks", partition=3, offset=41, headers=[], key=b"k", value=b"as it came")
