"""Each partition says in one sentence what it waits for."""

from datetime import UTC, datetime

import pytest

from streamer.kafka.snapshot import CallSnapshot, PartitionSnapshot, TaskSnapshot, WorkerSnapshot
from streamer.kafka.why import duration, why

NOON = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)


def worker(**more) -> WorkerSnapshot:
    fields = {
        "topology": "t", "client_id": "c", "version": "1", "host": "h", "pid": 1, "uptime": 1.0,
        "memory_bytes": None, "loop_lag": 0.0, "delivery": "at-least-once", "group": "t", "member_id": None,
        "generation": None, "input": "t", "output": "o", "state": "running", "busy": 1, "concurrency": 100,
        "outstanding": 1, "outstanding_limit": 2000,
    }  # fmt: skip
    return WorkerSnapshot(**{**fields, **more})


def partition(task: TaskSnapshot | None = None, **more) -> PartitionSnapshot:
    fields = {"frontier": 5, "committed": 5, "position": 9, "end": 9, "left": 1, "oldest": task}
    return PartitionSnapshot(topic="t", partition=0, open=True, **{**fields, **more})


def task(state: str = "running", **more) -> TaskSnapshot:
    return TaskSnapshot(offset=5, task_id="q-17", state=state, **more)


def call(provider: str = "openai", seconds: float | None = 43.0) -> CallSnapshot:
    return CallSnapshot(provider=provider, model="m", attempt_id="q-17/1#2", seconds=seconds, limit=10)


def shared(provider: str) -> CallSnapshot:
    return CallSnapshot(provider=provider, model="m", attempt_id=None, seconds=None)


@pytest.mark.parametrize(
    ("oldest", "at", "sentence"),
    [
        (task(call=call(), calls=1), {}, "waits for answer of openai (attempt q-17/1#2, 43 s)"),
        (task(call=call(), calls=3), {}, "waits for answer of openai (attempt q-17/1#2, 43 s, 3 calls in all)"),
        (task(call=call("function"), calls=1), {}, "waits for function m (attempt q-17/1#2, 43 s)"),
        (task(call=call(seconds=None), calls=1), {}, "waits for a slot of openai (all 10 busy)"),
        (task(resumes_at=NOON, last_failure="rate_limit of openai"), {},
         "waits until 12:30:00 UTC to try again after rate_limit of openai"),
        (task(seconds=7.0), {}, "the topology's own code runs (7 s)"),
        (task(seconds=7.0, in_stream=True), {}, "waits for the answer of the topology's stream (7 s)"),
        (task(call=shared("openai")), {}, "waits for a call of openai that it is to share with others"),
        (task(call=shared("function")), {}, "waits for a call of function m that it is to share with others"),
        (task(waits_for_slot=True), {"busy": 100}, "waits for a run slot again (100 of 100 busy)"),
        (task("parked", resumes_at=NOON), {}, "parked until 12:30:00 UTC"),
        (task("admitted"), {"busy": 100}, "waits for a run slot (100 of 100 busy)"),
        (task("admitted"), {"quarantined": True}, "waits for the trial of what ran when a worker crashed"),
        (task("admitted"), {}, "waits behind another task of its key"),
        (task("admitted", held_by="commit"), {"busy": 100}, "waits for a run slot (100 of 100 busy)"),
        (task("admitted", held_by="commit"), {"busy": 100, "unwritable": "o-0: KafkaError"},
         "waits for a commit that lets it begin; output can't be written: o-0: KafkaError"),
        (task(seconds=7.0, held_by="journal"), {},
         "waits until the journal has what was answered, before it calls again"),
        (task(call=call(seconds=None), held_by="group"), {},
         "waits until the group has heard of this worker, before it calls again"),
        (task(call=call(), calls=1, held_by="journal"), {}, "waits for answer of openai (attempt q-17/1#2, 43 s)"),
        (task("publishing"), {}, "its result is being written"),
        (task("answered"), {"unwritable": "o-0: KafkaError"}, "output can't be written: o-0: KafkaError"),
        (None, {"state": "draining"}, "the worker drains: it takes no more"),
        (None, {"outstanding": 2000}, "waits for room (2000 of 2000 outstanding, elsewhere)"),
        (None, {"problems": ("t-0: no record has come for 30 s.",)}, "no record has come for 30 s"),
        (None, {}, "waits for records from the broker"),
    ],
)  # fmt: skip
def test_what_holds_a_partition_up(oldest: TaskSnapshot | None, at: dict, sentence: str) -> None:
    assert why(partition(oldest), worker(**at)) == sentence


def test_nothing_holds_up_what_is_done() -> None:
    assert why(partition(left=0), worker()) == "fine: 0 behind"
    assert why(partition(left=0, committed=3), worker()) == "the next commit is due"
    assert why(PartitionSnapshot(topic="t", partition=0, open=False), worker()).startswith("is being opened")


def test_a_long_name_is_clipped_in_the_middle() -> None:
    long = CallSnapshot(provider="openai", model="m", attempt_id="x" * 30_000 + "/1#2", seconds=3.0)
    sentence = why(partition(task(call=long, calls=1)), worker())
    assert len(sentence) < 150
    assert sentence.endswith("x/1#2, 3 s)")


def test_durations_are_for_people() -> None:
    assert [duration(s) for s in (None, 4.2, 600, 12_600)] == ["?", "4 s", "10 min", "3.5 h"]
