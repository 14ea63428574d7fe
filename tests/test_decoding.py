"""Where input is judged: what is a task, and what is said of anything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from streamer.decoding import JSON, MSGPACK, Decoder
from streamer.errors import Category, InvalidTask
from streamer.tasks import (
    KINDS,
    Consensus,
    Fallback,
    Function,
    Llm,
    Map,
    Message,
    Parallel,
    Plan,
    Race,
    Retry,
    Sequence,
    Timeouts,
    Workflow,
)

ASK = {"kind": "llm", "prompt": "Hello"}
MISSPELT = {**ASK, "retry": {"max_attemps": 3}}
FORMATS = pytest.mark.parametrize("content_type", [JSON, MSGPACK])
NOT_FINITE = [float("nan"), float("inf"), float("-inf")]

TASKS = {
    "llm": Llm(
        id="q-17",
        tag="t",
        timeout=Timeouts(attempt=10, first_token=2.5),
        deadline=datetime(2027, 1, 31, 12, tzinfo=UTC),
        retry=Retry(max_attempts=5, backoff="jitter", retry_on=(Category.NETWORK,)),
        priority=3,
        resources={"gpu": 1},
        metadata={"user": 5},
        model="echo:",
        messages=(Message(role="user", content="Hello"),),
        parameters={"temperature": 0.5},
    ),
    "function": Function(name="add", arguments=(1, 2)),
    "parallel": Parallel(
        tasks={"a": Llm(prompt="Hello"), "b": Parallel(tasks=())}, require=1, reduce="count"
    ),
    "race": Race(tasks=(Llm(prompt="Hello"),), hedge_delay="p95"),
    "fallback": Fallback(tasks=(Llm(prompt="Hello"),), on=(Category.QUOTA,)),
    "sequence": Sequence(tasks=(Llm(prompt="Hello"), Llm(prompt="You")), pass_result=True),
    "map": Map(items=(1, 2), task={"kind": "llm", "prompt": "{{ item }}"}, batch_size=2),
    "consensus": Consensus(
        tasks=(Llm(prompt="Hello"), Llm(prompt="Hello")), strategy="weighted", weights=(1.0, 2.0)
    ),
    "workflow": Workflow(
        steps=(
            {"id": "a", "task": ASK, "on_error": {"value": 0}},
            {"id": "b", "task": ASK, "depends_on": ["a"], "when": "true", "require": "any"},
            {"id": "c", "if": "true", "then": [{"id": "d", "task": ASK}], "else": []},
            {"id": "e", "for": "inputs.of", "as": "x", "steps": [{"id": "f", "task": ASK}]},
            {"id": "g", "while": "true", "steps": [{"id": "h", "task": ASK}], "max_iterations": 5},
        ),
        inputs={"of": [1]},
        output="{{ steps.a.value }}",
    ),
    "plan": Plan(goal="Sum up", functions=("add",), max_steps=5),
}


def encoded(value: Any, content_type: str) -> bytes:
    """The message; in JSON with the NaN and Infinity that Python writes."""
    return msgspec.msgpack.encode(value) if content_type == MSGPACK else json.dumps(value).encode()


def refusal(value: Any, content_type: str = JSON, type: Any = None) -> InvalidTask:
    """What is said of a message that is no task."""
    data = value if isinstance(value, bytes) else encoded(value, content_type)
    with pytest.raises(InvalidTask) as caught:
        (Decoder() if type is None else Decoder(type)).decode(data, content_type)
    return caught.value


def nested(depth: int, content_type: str, kind: str = "parallel") -> bytes:
    """Tasks in tasks, so many deep."""
    if content_type == MSGPACK:
        head = b"\x82\xa4kind\xa8parallel\xa5tasks\x91"
        return head * (depth - 1) + msgspec.msgpack.encode(ASK)
    head, tail = {
        "parallel": ('{"kind":"parallel","tasks":[', "]}"),
        "map": ('{"kind":"map","items":[],"task":', "}"),
        "workflow": ('{"kind":"workflow","steps":[{"id":"a","task":', "}]}"),
    }[kind]
    return (head * (depth - 1) + json.dumps(ASK) + tail * (depth - 1)).encode()


# --- what is a task


@FORMATS
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_decodes(kind: str, content_type: str) -> None:
    """What was encoded comes back as it was."""
    codec = msgspec.msgpack if content_type == MSGPACK else msgspec.json
    assert Decoder().decode(codec.encode(TASKS[kind]), content_type) == TASKS[kind]


def test_the_contracts_own_example() -> None:
    """The one of the wire's description."""
    task = Decoder().decode(b"""{"id": "q-17", "kind": "fallback", "deadline": "2027-01-31T12:00:00Z",
        "metadata": {"user": 5}, "tasks": [{"kind": "race", "tasks": [
            {"kind": "llm", "model": "openai:gpt-4o-mini", "prompt": "Capital of France?", "timeout": 10,
             "retry": {"max_attempts": 3}}]},
            {"kind": "llm", "model": "openai:gpt-4o", "prompt": "Capital of France?", "timeout": 60}]}""")
    assert isinstance(task, Fallback)
    assert [type(child) for child in task.tasks] == [Race, Llm]


@FORMATS
@pytest.mark.parametrize("kind", ["parallel", "sequence"])
def test_no_children_are_children(kind: str, content_type: str) -> None:
    """All of none, and none after another, are tasks."""
    assert Decoder().decode(encoded({"kind": kind, "tasks": []}, content_type), content_type).tasks == ()


# --- what is not: bytes


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe", b"Hello", b'{"kind":"llm","prompt":"\xff"}', b'{"kind":"llm","prompt":""}x'],
)
def test_undecodable_json(data: bytes) -> None:
    """Bytes that are no JSON can't be decoded."""
    assert refusal(data).reason == "decode_error"


@pytest.mark.parametrize(
    "data", [b"", b"\x82\xa4kind", b"\xc1", b"\x82\xa4kind\xa3llm\xa6prompt\xa2\xff\xff"]
)
def test_undecodable_messagepack(data: bytes) -> None:
    """Nor can bytes that are no MessagePack."""
    assert refusal(data, MSGPACK).reason == "decode_error"


@FORMATS
def test_a_message_without_a_value(content_type: str) -> None:
    """A null value is no task."""
    with pytest.raises(InvalidTask, match="no value") as caught:
        Decoder().decode(None, content_type)
    assert caught.value.reason == "decode_error"


@FORMATS
def test_too_large(content_type: str) -> None:
    """What has more bytes than the limit is refused with its size and its id."""
    data = encoded({"id": "q", **ASK, "prompt": "x" * 200}, content_type)
    with pytest.raises(InvalidTask, match=rf"{len(data)} bytes; max_message_bytes is 100") as caught:
        Decoder(limit=100).decode(data, content_type)
    assert (caught.value.reason, caught.value.task_id) == ("too_large", "q")
    assert Decoder(limit=len(data)).decode(data, content_type).id == "q"


@FORMATS
@pytest.mark.parametrize("data", [b"\xff" * 200, b"{" * 200, b"\x81\xa2id" * 50, b'{"id":5}' + b" " * 200])
def test_too_large_without_a_readable_id(data: bytes, content_type: str) -> None:
    """An id that can't be read is none."""
    with pytest.raises(InvalidTask) as caught:
        Decoder(limit=100).decode(data, content_type)
    assert (caught.value.reason, caught.value.task_id) == ("too_large", None)


# --- what is not: the schema

WRONG: list[tuple[Any, str]] = [
    (None, "$"),
    ([], "$"),
    ("llm", "$"),
    (5, "$"),
    ({}, "$"),
    ({"kind": 5}, "$.kind"),
    ({"kind": None}, "$.kind"),
    ({"kind": "llm"}, "$"),
    ({**ASK, "messages": []}, "$"),
    ({"kind": "llm", "messages": []}, "$"),
    ({"kind": "llm", "messages": [{"role": "user"}], "system": "x"}, "$"),
    ({"kind": "llm", "prompt": 5}, "$.prompt"),
    ({**ASK, "id": ""}, "$.id"),
    ({**ASK, "id": 5}, "$.id"),
    ({**ASK, "model": ""}, "$.model"),
    ({**ASK, "metadata": []}, "$.metadata"),
    ({**ASK, "priority": "high"}, "$.priority"),
    ({**ASK, "deadline": "2027-01-31T12:00:00"}, "$.deadline"),
    ({**ASK, "deadline": "tomorrow"}, "$.deadline"),
    ({**ASK, "timeout": "5"}, "$.timeout"),
    ({**ASK, "timeout": 0}, "$.timeout"),
    ({**ASK, "timeout": -1}, "$.timeout"),
    ({**ASK, "timeout": 1e9}, "$.timeout"),
    ({**ASK, "timeout": {"attempt": -1}}, "$.timeout.attempt"),
    ({**ASK, "retry": {"max_attempts": 0}}, "$.retry.max_attempts"),
    ({**ASK, "retry": {"max_attempts": 1.5}}, "$.retry.max_attempts"),
    ({**ASK, "retry": {"initial_delay": -1}}, "$.retry.initial_delay"),
    ({**ASK, "retry": {"jitter": 2}}, "$.retry.jitter"),
    ({**ASK, "retry": {"multiplier": 0}}, "$.retry.multiplier"),
    ({**ASK, "retry": {"backoff": "never"}}, "$.retry.backoff"),
    ({**ASK, "retry": {"retry_on": ["weather"]}}, "$.retry.retry_on[0]"),
    ({**ASK, "resources": {"gpu": 1, "cpu": 0}}, "$.resources.cpu"),
    ({"kind": "llm", "messages": [{"role": "nobody", "content": "x"}]}, "$.messages[0].role"),
    ({"kind": "function"}, "$"),
    ({"kind": "function", "name": "f", "arguments": "x"}, "$.arguments"),
    ({"kind": "parallel", "tasks": [], "timeout": {"attempt": 1}}, "$.timeout"),
    ({"kind": "parallel", "tasks": [], "concurrency": 0}, "$.concurrency"),
    ({"kind": "parallel", "tasks": [], "require": -1}, "$.require"),
    ({"kind": "parallel", "tasks": [], "require": "most"}, "$.require"),
    ({"kind": "parallel", "tasks": [ASK], "require": 2}, "$"),
    ({"kind": "parallel", "tasks": [ASK, {"kind": "llm"}]}, "$.tasks[1]"),
    ({"kind": "race", "tasks": []}, "$.tasks"),
    ({"kind": "race", "tasks": {"a": ASK}}, "$.tasks"),
    ({"kind": "race", "tasks": [ASK], "hedge_delay": -1}, "$.hedge_delay"),
    ({"kind": "fallback", "tasks": []}, "$.tasks"),
    ({"kind": "consensus", "tasks": []}, "$.tasks"),
    ({"kind": "consensus", "tasks": [ASK]}, "$.tasks"),
    ({"kind": "consensus", "tasks": [ASK, ASK], "threshold": 1.5}, "$.threshold"),
    ({"kind": "consensus", "tasks": [ASK, ASK], "weights": [1, 2]}, "$"),
    ({"kind": "consensus", "tasks": [ASK, ASK], "strategy": "best"}, "$"),
    ({"kind": "consensus", "tasks": [ASK, ASK], "strategy": "weighted", "weights": [1]}, "$"),
    ({"kind": "consensus", "tasks": [ASK, ASK], "strategy": "weighted", "weights": [0, 0]}, "$"),
    ({"kind": "map", "items": 5, "task": ASK}, "$.items"),
    ({"kind": "workflow", "steps": []}, "$.steps"),
    ({"kind": "plan", "goal": ""}, "$.goal"),
    ({"kind": "parallel", "tasks": {"a": ASK, "b": {**ASK, "timeout": -1}}}, "$.tasks.b.timeout"),
]


@FORMATS
@pytest.mark.parametrize(("value", "place"), WRONG)
def test_what_the_schema_refuses(value: Any, place: str, content_type: str) -> None:
    """Wrong types, ranges and forms are named with their place."""
    problem = refusal(value, content_type)
    assert problem.reason == "validation_error"
    assert str(problem).endswith(f" - at `{place}`")


UNKNOWN: list[tuple[Any, str]] = [
    ({**ASK, "promt": "x"}, "$.promt"),
    ({**ASK, "[...]": 1}, "$.[...]"),
    (MISSPELT, "$.retry.max_attemps"),
    ({**ASK, "timeout": {"attemt": 1}}, "$.timeout.attemt"),
    ({"kind": "llm", "messages": [{"role": "user", "contnt": "x"}]}, "$.messages[0].contnt"),
    ({"kind": "parallel", "tasks": [ASK, ASK, MISSPELT]}, "$.tasks[2].retry.max_attemps"),
    ({"kind": "parallel", "tasks": {"a": MISSPELT}}, "$.tasks.a.retry.max_attemps"),
    ({"kind": "parallel", "tasks": {"z": ASK, "a": MISSPELT, "b": ASK}}, "$.tasks.a.retry.max_attemps"),
    ({"kind": "parallel", "tasks": {"a": ASK, "b": MISSPELT}, "timeout": -1}, "$.tasks.b.retry.max_attemps"),
    (
        {"kind": "parallel", "tasks": {"a": ASK, "b.c[0]": {"kind": "parallel", "tasks": {"d": MISSPELT}}}},
        "$.tasks.b.c[0].tasks.d.retry.max_attemps",
    ),
    (
        {
            "kind": "race",
            "tasks": [{"kind": "parallel", "tasks": {"a": {"kind": "race", "tasks": [MISSPELT]}}}],
        },
        "$.tasks[0].tasks.a.tasks[0].retry.max_attemps",
    ),
]


@FORMATS
@pytest.mark.parametrize(("value", "place"), UNKNOWN)
def test_unknown_fields(value: Any, place: str, content_type: str) -> None:
    """An unknown field is named with its whole path, names of children included."""
    problem = refusal(value, content_type)
    assert problem.reason == "validation_error"
    assert str(problem).startswith("Object contains unknown field `")
    assert str(problem).endswith(f" - at `{place}`")


@FORMATS
@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"kind": "llmm"}, "$.kind"),
        ({"kind": "race", "tasks": [ASK, {"kind": "nope"}]}, "$.tasks[1].kind"),
        ({"kind": "parallel", "tasks": {"a`b": {"kind": "no`pe"}}}, "$.tasks.a`b.kind"),
        ({"kind": "map", "items": [], "task": {"kind": "nope"}}, "$.task.kind"),
        ({"kind": "workflow", "steps": [{"id": "a", "task": {"kind": "nope"}}]}, "$.steps[0].task.kind"),
    ],
)
def test_unknown_kinds(value: Any, place: str, content_type: str) -> None:
    """A kind that the wire does not know has a reason of its own."""
    problem = refusal(value, content_type)
    assert problem.reason == "unknown_kind"
    assert str(problem).endswith(f" - at `{place}`")


@FORMATS
@pytest.mark.parametrize(
    "value", [{"kind": "nope"}, MISSPELT, {**ASK, "timeout": -1}, {"kind": "map", "items": 1}]
)
def test_a_refusal_knows_the_tasks_id(value: dict[str, Any], content_type: str) -> None:
    """Where the id can be read, the dead letter has it."""
    assert refusal({"id": "q", **value}, content_type).task_id == "q"


@pytest.mark.parametrize(
    "after",
    [b"", b"x", b'"metadata":' + b"[" * 50_000, b'"prompt":"\xff"'],
    ids=["cut", "no JSON", "too deep", "no UTF-8"],
)
def test_a_wrong_field_before_what_cannot_be_decoded(after: bytes) -> None:
    """The place is named as well as it can be: nothing here may raise anything else."""
    problem = refusal(b'{"kind":"parallel","tasks":{"a":{"kind":"llm","promt":1,' + after)
    assert problem.reason == "validation_error"
    assert "unknown field `promt`" in str(problem)


# --- times

TIMES = ["timeout", "retry.initial_delay", "retry.max_delay", "timeout.attempt", "timeout.first_token"]


def with_time(place: str, seconds: float) -> dict[str, Any]:
    outer, _, inner = place.partition(".")
    return {**ASK, outer: {inner: seconds} if inner else seconds}


@pytest.mark.parametrize("place", TIMES)
@pytest.mark.parametrize("seconds", NOT_FINITE)
def test_times_that_are_no_numbers_in_json(place: str, seconds: float) -> None:
    """JSON has no NaN and no infinity."""
    assert refusal(with_time(place, seconds)).reason == "decode_error"


@pytest.mark.parametrize("place", TIMES)
@pytest.mark.parametrize("seconds", NOT_FINITE)
def test_times_that_are_no_numbers_in_messagepack(place: str, seconds: float) -> None:
    """MessagePack has them, and they are out of range."""
    problem = refusal(with_time(place, seconds), MSGPACK)
    assert problem.reason == "validation_error"
    assert str(problem).endswith(f" - at `$.{place}`")


@pytest.mark.parametrize("place", TIMES)
def test_a_time_too_great_for_a_float(place: str) -> None:
    """A number that would be infinite is out of range, too."""
    data = encoded(with_time(place, 12345.0), JSON).replace(b"12345.0", b"1e999")
    assert str(refusal(data)).endswith(f" - at `$.{place}`")


# --- nesting


@FORMATS
def test_nesting_at_the_limit(content_type: str) -> None:
    """64 deep is a task."""
    assert isinstance(Decoder().decode(nested(64, content_type), content_type), Parallel)


@FORMATS
@pytest.mark.parametrize("depth", [65, 300, 1_000, 100_000])
def test_nesting_beyond_the_limit(depth: int, content_type: str) -> None:
    """More is none, however much more."""
    with pytest.raises(InvalidTask, match="at most 64 deep") as caught:
        Decoder(limit=10_000_000).decode(nested(depth, content_type), content_type)
    assert caught.value.reason == "validation_error"


@pytest.mark.parametrize("kind", ["map", "workflow"])
@pytest.mark.parametrize("depth", [65, 300, 1_000, 100_000])
def test_nesting_of_templates(depth: int, kind: str) -> None:
    """Templates count like any task."""
    decoder = Decoder(limit=10_000_000)
    assert decoder.decode(nested(64, JSON, kind)) is not None
    with pytest.raises(InvalidTask, match="at most 64 deep"):
        decoder.decode(nested(depth, JSON, kind))


@FORMATS
@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_nesting_of_values(depth: int, content_type: str) -> None:
    """Arrays in a task's values do not crash it either."""
    opened, closed = (
        (b"\x91" * depth + b"\x90", b"") if content_type == MSGPACK else (b"[" * depth, b"]" * depth)
    )
    whole = encoded({**ASK, "metadata": {"a": 5}}, content_type).rpartition(
        b"\x05" if content_type == MSGPACK else b"5"
    )
    data = whole[0] + opened + closed + whole[2]
    with pytest.raises(InvalidTask, match="too deeply") as caught:
        Decoder(limit=10_000_000).decode(data, content_type)
    assert caught.value.reason == "validation_error"


# --- templates

FORMS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "x"}, "$.task"),
    ({"kind": "llm", "promt": "x"}, "$.task.promt"),
    ({"kind": "llm", "retry": {"max_attemps": 3}}, "$.task.retry.max_attemps"),
    ({"kind": "llm", "timeout": {"attemt": 3}}, "$.task.timeout.attemt"),
    ({"kind": "llm", "messages": [{"role": "user", "contnt": ""}]}, "$.task.messages[0].contnt"),
    ({"kind": "race", "tasks": [ASK, {"kind": "llm", "promt": "x"}]}, "$.task.tasks[1].promt"),
    ({"kind": "parallel", "tasks": {"a": {"kind": "llm", "promt": "x"}}}, "$.task.tasks.a.promt"),
    ({"kind": "parallel", "tasks": ["{{ item }}"]}, "$.task.tasks[0]"),
    ({"kind": "map", "items": "{{ item }}", "task": {"kind": "llm", "promt": "x"}}, "$.task.task.promt"),
    (
        {"kind": "workflow", "steps": [{"id": "a", "task": {"kind": "llm", "promt": "x"}}]},
        "$.task.steps[0].task.promt",
    ),
]


@FORMATS
@pytest.mark.parametrize(("form", "place"), FORMS)
def test_the_names_in_a_maps_task(form: dict[str, Any], place: str, content_type: str) -> None:
    """A template's names are judged when it is decoded, wherever it stands."""
    value = {"kind": "map", "items": [1], "task": form}
    assert str(refusal(value, content_type)).endswith(f" - at `{place}`")
    inside = {"kind": "parallel", "tasks": {"m": value}}
    assert str(refusal(inside, content_type)).endswith(f" - at `{place.replace('$', '$.tasks.m')}`")


@pytest.mark.parametrize(
    "form",
    [
        {"kind": "llm", "prompt": "{{ item }}", "timeout": "{{ item }}", "retry": "{{ item }}"},
        {"kind": "parallel", "tasks": "{{ item }}"},
        {"kind": "function", "name": "{{ item }}", "arguments": "{{ item }}"},
    ],
)
def test_the_types_in_a_maps_task(form: dict[str, Any]) -> None:
    """Its types are judged only when it is rendered."""
    assert (
        Decoder().decode(encoded({"kind": "map", "items": "{{ inputs.x }}", "task": form}, JSON)).task == form
    )


STEPS: list[tuple[Any, str]] = [
    (5, "$.steps[0]"),
    ({"id": "a"}, "$.steps[0]"),
    ({"task": ASK}, "$.steps[0]"),
    ({"id": "a b", "task": ASK}, "$.steps[0].id"),
    ({"id": "a\n", "task": ASK}, "$.steps[0].id"),
    ({"id": "1a", "task": ASK}, "$.steps[0].id"),
    ({"id": "a", "task": "x"}, "$.steps[0].task"),
    ({"id": "a", "task": {"kind": "llm", "promt": "x"}}, "$.steps[0].task.promt"),
    ({"id": "a", "task": ASK, "depend_on": []}, "$.steps[0].depend_on"),
    ({"id": "a", "task": ASK, "depends_on": ["b c"]}, "$.steps[0].depends_on[0]"),
    ({"id": "a", "task": ASK, "require": -1}, "$.steps[0].require"),
    ({"id": "a", "task": ASK, "on_error": "ignore"}, "$.steps[0].on_error"),
    ({"id": "a", "task": ASK, "on_error": {"valeu": 1}}, "$.steps[0].on_error.valeu"),
    ({"id": "a", "if": "true"}, "$.steps[0]"),
    ({"id": "a", "if": "", "then": [{"id": "b", "task": ASK}]}, "$.steps[0].if"),
    ({"id": "a", "if": "true", "then": []}, "$.steps[0].then"),
    ({"id": "a", "if": "true", "then": [{"id": "b", "tsk": ASK}]}, "$.steps[0].then[0].tsk"),
    ({"id": "a", "if": "true", "then": [{"id": "b", "task": ASK}], "else": [5]}, "$.steps[0].else[0]"),
    ({"id": "a", "if": "true", "then": [{"id": "b", "task": ASK}], "task": ASK}, "$.steps[0].task"),
    ({"id": "a", "for": "inputs", "steps": []}, "$.steps[0].steps"),
    ({"id": "a", "for": "inputs", "as": "a b", "steps": [{"id": "b", "task": ASK}]}, "$.steps[0].as"),
    ({"id": "a", "for": "inputs", "steps": [{"id": "b", "task": {}}]}, "$.steps[0].steps[0].task"),
    (
        {"id": "a", "while": "true", "max_iterations": 0, "steps": [{"id": "b", "task": ASK}]},
        "$.steps[0].max_iterations",
    ),
    ({"id": "a", "while": "true", "stepps": []}, "$.steps[0]"),
]


@FORMATS
@pytest.mark.parametrize(("step", "place"), STEPS)
def test_wrong_steps(step: Any, place: str, content_type: str) -> None:
    """A workflow's steps, and those in its control steps, are named with their whole path."""
    problem = refusal({"kind": "workflow", "steps": [step]}, content_type)
    assert problem.reason == "validation_error"
    assert f" - at `{place}" in str(problem)


# --- a topology's own Structs


class Question(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    marks: dict[str, int] = {}
    id: str | None = None


@FORMATS
def test_a_struct_of_the_users(content_type: str) -> None:
    """A topology's own Struct is decoded and judged the same way."""
    decoder = Decoder(Question)
    assert decoder.decode(encoded({"text": "Hello"}, content_type), content_type) == Question("Hello")
    for value, place in (
        ({"text": 5}, "$.text"),
        ({"text": "x", "kind": "llm"}, "$.kind"),
        ({"text": "x", "marks": {"a": 1, "b": "2"}}, "$.marks.b"),
    ):
        problem = refusal({"id": "q", **value}, content_type, Question)
        assert (problem.reason, problem.task_id) == ("validation_error", "q")
        assert str(problem).endswith(f" - at `{place}`")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'\xef\xbb\xbf{"kind": "llm"}', "byte order mark"),
        ("\ufeff{}".encode("utf-16-le"), "byte order mark"),
        (rb'{"kind": "llm", "prompt": "\ud800"}', "half of a surrogate pair"),
    ],
)
def test_texts_that_are_written_in_another_way(data: bytes, said: str) -> None:
    with pytest.raises(InvalidTask, match=said):
        Decoder().decode(data)
