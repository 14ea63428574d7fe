"""What leaves: a result, there and back, and what can't travel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import UNSET, Struct
from msgspec.structs import replace

from streamer import Engine, fallback, parallel, race
from streamer.errors import Category
from streamer.results import Attempt, Encoder, Failure, Result, Status, Unencodable, Usage

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
NAN, INFINITE = float("nan"), float("inf")
FORMATS = pytest.mark.parametrize("msgpack", [False, True], ids=["json", "msgpack"])


def attempt(id: str, outcome: Status = Status.SUCCEEDED) -> Attempt:
    return Attempt(
        id=id,
        provider="openai",
        model="gpt-4o-mini",
        outcome=outcome,
        category=None if outcome is Status.SUCCEEDED else Category.NETWORK,
        started_at=NOON,
        duration=0.5,
        time_to_first_token=0.1,
        usage=Usage(input_tokens=5, output_tokens=3),
        cost=0.25,
        violations=(),
    )


def result(**changes: Any) -> Result:
    whole: dict[str, Any] = {
        "task_id": "q",
        "kind": "llm",
        "status": Status.SUCCEEDED,
        "value": "Paris",
        "received_at": NOON,
        "started_at": NOON,
        "finished_at": NOON,
        "queue_time": 0.0,
        "duration": 0.5,
    }
    return Result(**{**whole, **changes})


def failed(**changes: Any) -> Result:
    error = Failure(category=Category.NETWORK, type="ConnectionError", message="Broken.", provider="openai")
    return result(status=Status.FAILED, value=None, error=error, **changes)


def read(data: bytes, msgpack: bool) -> Any:
    return msgspec.msgpack.decode(data) if msgpack else msgspec.json.decode(data)


# --- there and back

WHOLE = [
    result(),
    result(value={"city": "Paris", "of": [1, 2.5, None, True]}, tag="t", metadata={"user": [5]}),
    result(attempts=(attempt("q#1", Status.FAILED), attempt("q#2")), usage=Usage(input_tokens=10), cost=0.5),
    failed(),
    result(kind="race", winner=1, children=(failed(), result(value=UNSET))),
    result(kind="parallel", value={"a": "Paris"}, children={"a": result(value=UNSET, tag="a")}),
    result(kind="consensus", agreement=0.75, children=()),
]


@FORMATS
@pytest.mark.parametrize("whole", WHOLE)
def test_there_and_back(whole: Result, msgpack: bool) -> None:
    """A result is read as it was written."""
    data = Encoder().encode(whole, msgpack)
    back = (msgspec.msgpack if msgpack else msgspec.json).decode(data, type=Result)
    assert back == whole


@FORMATS
def test_what_is_always_there(msgpack: bool) -> None:
    """Consumers find every field of the wire in every result, but for a few that tell of some only."""
    fields = read(Encoder().encode(result(), msgpack), msgpack)
    left_out = {"winner", "agreement", "children", "claim_check", "possible_duplicate_calls"}
    assert fields.keys() == {field.name for field in msgspec.structs.fields(Result)} - left_out


@FORMATS
def test_instants_have_an_offset(msgpack: bool) -> None:
    """Instants are RFC 3339 in both formats."""
    assert read(Encoder().encode(result(), msgpack), msgpack)["received_at"] in ("2027-01-31T12:00:00Z", NOON)


# --- what can't travel


@dataclass
class Point:
    x: float


class Place(Struct):
    at: Any


def parent(child: Result) -> Result:
    return result(kind="parallel", value=3, children=(result(), child))


NOT_FINITE: list[tuple[Callable[[float], Result], str]] = [
    (lambda number: result(value=number), "value"),
    (lambda number: result(value={"a": [1, {"b": number}]}), "value.a[1].b"),
    (lambda number: result(value=(1, number)), "value[1]"),
    (lambda number: result(value=[Point(number)]), "value[0].x"),
    (lambda number: result(value=Place({"x": number})), "value.at.x"),
    (lambda number: result(value={number}), "value[0]"),
    (lambda number: parent(result(value=[number])), "children[1].value[0]"),
    (lambda number: parent(parent(result(value=number))), "children[1].children[1].value"),
    (lambda number: result(value=3, children={"a": result(value=number)}), "children.a.value"),
]


@FORMATS
@pytest.mark.parametrize("number", [NAN, INFINITE, -INFINITE])
@pytest.mark.parametrize(("made", "place"), NOT_FINITE)
def test_numbers_that_json_would_lose(
    made: Callable[[float], Result], place: str, number: float, msgpack: bool
) -> None:
    """NaN and infinity are refused with their place, in a child's value as well."""
    with pytest.raises(Unencodable) as caught:
        Encoder().encode(made(number), msgpack)
    assert str(caught.value).endswith(f" - at `{place}`")


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@FORMATS
@pytest.mark.parametrize(
    "value",
    [object(), {"a": object()}, endless(), deep(100_000), {object(): 3}, "\ud800", ["\ud800"]],
    ids=["object", "in a dict", "endless", "deep", "key", "surrogate", "surrogate within"],
)
def test_values_that_no_format_has(value: Any, msgpack: bool) -> None:
    """Anything else that can't be written is the same error, never another."""
    for whole in (result(value=value), parent(result(value=value))):
        with pytest.raises(Unencodable):
            Encoder().encode(whole, msgpack)


# --- what is derived


@pytest.mark.parametrize("status", Status)
def test_succeeded(status: Status) -> None:
    """Only one of the five statuses is a success."""
    assert result(status=status).succeeded is (status is Status.SUCCEEDED)


def test_a_leaf_has_no_children() -> None:
    """Nothing is counted where there are none."""
    leaf = result()
    assert (leaf.each_child(), leaf.successes, leaf.failures, leaf.all_succeeded) == ((), 0, 0, True)


@pytest.mark.parametrize("named", [False, True])
def test_successes_and_failures(named: bool) -> None:
    """Children are counted in either shape; what is skipped or cancelled is no success."""
    children: Any = (result(), failed(), result(status=Status.SKIPPED), result(status=Status.CANCELLED))
    whole = result(children=dict(zip("abcd", children, strict=True)) if named else children)
    assert whole.each_child() == children
    assert (whole.successes, whole.failures, whole.all_succeeded) == (1, 3, False)
    assert replace(whole, children=(result(), result())).all_succeeded
    assert not failed(children=(result(),)).all_succeeded


@pytest.mark.parametrize(
    ("ids", "retries"),
    [
        ((), 0),
        (("q#1",), 0),
        (("q#1", "q#2", "q#3"), 2),
        (("q#1", "q~2#1", "q~2#2"), 1),
        (("q#10", "q#11"), 2),
    ],
)
def test_retries(ids: tuple[str, ...], retries: int) -> None:
    """The attempts beyond the first of each call; a function's second call is no retry."""
    leaf = result(attempts=tuple(attempt(name) for name in ids))
    assert leaf.retries == retries
    assert result(children=(leaf, parent(leaf))).retries == 2 * retries


def test_usage_adds_up() -> None:
    """Sums are of each count; one estimate makes an estimate."""
    one = Usage(input_tokens=1, output_tokens=2, cached_input_tokens=3, reasoning_tokens=4)
    other = Usage(input_tokens=10, output_tokens=20, estimated=True)
    assert one + other == Usage(
        input_tokens=11, output_tokens=22, cached_input_tokens=3, reasoning_tokens=4, estimated=True
    )


def test_the_exception_does_not_travel() -> None:
    """In process a failure has its exception, on the wire it has none."""
    failure = Failure(category=Category.INTERNAL, type="ValueError", message="Broken.")
    assert failure.exception is None
    failure.__dict__["exception"] = error = ValueError("Broken.")
    assert failure.exception is error
    assert b"exception" not in Encoder().encode(result(error=failure))


class TestChildren:
    """What there is to know of them at a look; also of results that have travelled."""

    @staticmethod
    async def of(plan):
        result = await Engine(lambda _: plan).run(None)
        return result, msgspec.convert(msgspec.to_builtins(result), Result)

    async def test_counts_add_up(self):
        for result in await self.of(parallel(lambda: 1, lambda: 1 / 0, lambda: None)):
            assert result.counts == {
                "succeeded": 2,
                "failed": 1,
                "timed_out": 0,
                "cancelled": 0,
                "skipped": 0,
            }

    async def test_a_child_has_its_value_wherever_it_is_held(self):
        inner = parallel(lambda: "x", lambda: 1 / 0)
        for result in await self.of(parallel({"a": lambda: 1, "b": inner}, require="none")):
            assert (result.child("a").value, result.child("b").value) == (1, ["x", None])
            assert result.child("b").child(0).value == "x"
            assert result.child("b").child(1).status is Status.FAILED
        for result in await self.of(race(lambda: 1 / 0, lambda: "won")):
            assert [result.child(index).value for index in (0, 1)] == [None, "won"]

    async def test_one_that_is_not_there_is_an_error_that_names_those_that_are(self):
        for whole in await self.of(parallel({"a": lambda: 1, "b": lambda: 2})):
            with pytest.raises(LookupError, match=r"no child 'c'; there are a, b\."):
                whole.child("c")
        for leaf in (result(), failed()):
            assert leaf.errors() == {}
            with pytest.raises(LookupError, match=r"no child 0; there are none\."):
                leaf.child(0)

    async def test_errors_are_by_index_or_name(self):
        plans = {
            parallel(lambda: 1, lambda: 1 / 0): [1],
            parallel({"a": lambda: 1, "b": lambda: 1 / 0}): ["b"],
            parallel(lambda: 1): [],
        }
        for plan, keys in plans.items():
            for result in await self.of(plan):
                assert list(result.errors()) == keys
                assert all(error.message == "division by zero" for error in result.errors().values())

    async def test_the_values_of_successes_are_in_order_wherever_they_are_held(self):
        plans = {
            parallel(lambda: 1, lambda: 1 / 0, lambda: None): [1, None],
            parallel({"a": lambda: 1, "b": lambda: 1 / 0, "c": lambda: 3}): [1, 3],
            parallel(lambda: 1, lambda: 2, reduce="sum"): [1, 2],
            race(lambda: 1 / 0, lambda: "won"): ["won"],
            fallback(lambda: 1 / 0, lambda: [2]): [[2]],
            parallel(): [],
        }
        for plan, values in plans.items():
            for result in await self.of(plan):
                assert result.successful_values() == values
