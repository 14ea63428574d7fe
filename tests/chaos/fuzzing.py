"""Messages that no producer should send: generated, and valid ones with their bytes changed. All by a seed."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

Headers = list[tuple[str, bytes | None]]
MSGPACK = b"application/msgpack"
CALL = {"kind": "llm", "model": "echo:", "prompt": "Grüße an 東京 😀", "timeout": 10}
CORPUS: list[dict[str, Any]] = [
    CALL,
    {**CALL, "id": "a", "tag": "b", "priority": 3, "metadata": {"user": 5, "deep": [{"er": None}]}},
    {"kind": "llm", "model": "echo:", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]},
    {**CALL, "parameters": {"temperature": 0.5, "stop": ["x"]}, "retry": {"max_attempts": 2, "backoff": "fixed"}},
    {**CALL, "deadline": "2999-01-31T12:00:00Z", "timeout": {"attempt": 5, "connect": 1}},
    {"kind": "function", "name": "add", "arguments": {"a": 1, "b": 2.5}},
    {"kind": "function", "name": "add", "arguments": [1, 2]},
    {"kind": "parallel", "tasks": [CALL, CALL], "concurrency": 2, "require": "any", "reduce": "concat"},
    {"kind": "parallel", "tasks": {"one": CALL, "two": {"kind": "race", "tasks": [CALL]}}, "fail_fast": True},
    {"kind": "race", "tasks": [CALL, CALL], "win_on": "completion"},
    {"kind": "fallback", "tasks": [CALL, CALL], "on": ["network", "timeout"]},
    {"kind": "sequence", "tasks": [CALL, CALL], "pass_result": True, "on_error": "continue"},
    {"kind": "map", "items": [1, "two", None], "task": {**CALL, "prompt": "{{ item }}"}, "batch_size": 2},
    {"kind": "consensus", "tasks": [CALL, CALL], "strategy": "weighted", "weights": [1, 2]},
    {"kind": "workflow", "steps": [{"id": "s", "task": CALL}, {"id": "t", "task": CALL, "depends_on": ["s"]}]},
    {"kind": "plan", "goal": "win", "model": "echo:", "functions": ["add"]},
]  # fmt: skip


class Fuzzed(NamedTuple):
    """A message's value and headers, and what was done to it."""

    how: str
    value: bytes | None
    headers: Headers


def fuzzed(count: int, seed: int) -> Iterator[Fuzzed]:
    """So many: a sixth generated, the others made of valid tasks."""
    chance = Random(seed)
    values = generated(count // 6, seed)
    for number in range(count):
        if number % 6 == 0 and values:
            yield Fuzzed("generated", *encoded(values.pop(), chance))
        else:
            how = chance.choice(list(MUTATIONS))
            yield Fuzzed(how, *MUTATIONS[how](chance.choice(CORPUS), chance))


def generated(count: int, seed: int) -> list[Any]:
    """Values of any shape, and tasks with any values in their fields."""
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
    anything = st.recursive(
        scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
    )
    fields = sorted({field for task in CORPUS for field in task} - {"kind"})
    kinds = sorted({task["kind"] for task in CORPUS})
    tasks = st.builds(
        lambda kind, rest: {**rest, "kind": kind},
        st.sampled_from(kinds) | anything,
        st.dictionaries(st.sampled_from(fields), anything, max_size=5),
    )
    found: list[Any] = []

    @seeded(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(tasks | anything)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def encoded(value: Any, chance: Random) -> tuple[bytes, Headers]:
    """As JSON, also with what is none (NaN, lone surrogates), or as MessagePack."""
    if chance.random() < 0.3:
        try:
            return msgspec.msgpack.encode(value), [("content-type", MSGPACK)]
        except UnicodeEncodeError:
            pass
    escaped = chance.random() < 0.5
    return json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass"), []


def flipped(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    data, headers = encoded(task, chance)
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed), headers


def cut(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    data, headers = encoded(task, chance)
    return data[: chance.randrange(len(data))], headers


def spliced(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    data, headers = encoded(task, chance)
    other, _ = encoded(chance.choice(CORPUS), chance)
    at = chance.randrange(len(data))
    return data[:at] + other[chance.randrange(len(other)) :] + data[at:], headers


def noise(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    return chance.randbytes(chance.randrange(200)), chance.choice(([], [("content-type", MSGPACK)]))


def twice(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    """A key that is there twice, with another value."""
    text = json.dumps(task)
    name = chance.choice(list(task))
    value = chance.choice(["null", '"x"', "1", json.dumps(task[name]), "{}", "[]"])
    return f'{text[:-1]}, "{name}": {value}}}'.encode(), []


def deep(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    depth = chance.choice((10, 63, 64, 65, 200, 2_000, 20_000))
    if chance.random() < 0.5:
        return json.dumps(task).encode().join((b'{"kind":"race","tasks":[' * depth, b"]}" * depth)), []
    nested = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    metadata = nested[0] * depth + b"1" + nested[1] * depth
    return json.dumps(task).encode()[:-1] + b', "metadata": ' + metadata + b"}", []


def odd_number(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    name = chance.choice(("timeout", "priority", "metadata", "deadline", "concurrency", "retry", "arguments"))
    numbers = (
        "NaN",
        "-Infinity",
        "1e999",
        "-0",
        "1e-400",
        "9" * 5_000,
        str(2**63),
        "0.1" + "0" * 400 + "1",
        "01",
    )
    return f'{json.dumps(task)[:-1]}, "{name}": {chance.choice(numbers)}}}'.encode(), []  # fmt: skip


def odd_text(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    texts = (
        b'"\\ud800"',
        b'"\\udfff\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\\u0000"',
        b'"\x00"',
        b'""',
    )
    name = chance.choice((b"id", b"tag", b"prompt", b"model", b"name", b"\\ud800"))
    return json.dumps(task).encode()[:-1] + b', "%b": %b}' % (name, chance.choice(texts)), []  # fmt: skip


def mislabelled(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    label = chance.choice((b"", b"text/plain", b"application/json; charset=latin-1", b"\xff", MSGPACK, None))
    return encoded(task, chance)[0], [("content-type", label)]


def nothing(task: dict[str, Any], chance: Random) -> tuple[bytes | None, Headers]:
    return chance.choice((None, b"", b" ", b"null", b"\xc0")), encoded(task, chance)[1]


def odd_headers(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    data, headers = encoded(task, chance)
    more: list[Headers] = [
        [("large", b"x" * 100_000)],
        [(f"header {number}", b"x") for number in range(1_000)],
        [("binary", chance.randbytes(50)), ("", b""), ("null", None)],
        [("streamer-task-id", b"\xff\xfe")],
        [("streamer-task-id", b"x" * 10_000)],
        [("streamer-task-id", None), ("streamer-task-id", b"second")],
        [("__connect.errors.offset", b"-1"), ("streamer-dead-letter-reason", b"mine")],
    ]
    return data, headers + chance.choice(more)


def odd_deadline(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    deadlines = (b"soon", b"", b"\xff", b"2027-01-31T12:00:00", b"0001-01-01T00:00:00+23:59", b"99999-01-01T00:00:00Z", b"1e400",
                 b"9999-12-31T23:59:59-23:59", b"2020-01-01T00:00:00Z", b"2999-02-30T00:00:00Z", b"x" * 5_000, None)  # fmt: skip
    data, headers = encoded(task, chance)
    return data, [*headers, ("streamer-deadline", chance.choice(deadlines))]


def valid(task: dict[str, Any], chance: Random) -> tuple[bytes, Headers]:
    return encoded(task, chance)


MUTATIONS: dict[str, Callable[[dict[str, Any], Random], tuple[bytes | None, Headers]]] = {
    made.__name__.replace("_", " "): made
    for made in (
        flipped, cut, spliced, noise, twice, deep, odd_number, odd_text,
        mislabelled, nothing, odd_headers, odd_deadline, valid,
    )
}  # fmt: skip
