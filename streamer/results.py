"""What leaves: one result per task."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from streamer.errors import Category


class Status(StrEnum):
    """How a task ended; exactly one of five."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens, as the provider counted them, or ``estimated``."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            estimated=self.estimated or other.estimated,
        )


class Failure(Struct, frozen=True, kw_only=True, dict=True):
    """Why a task did not succeed. In process ``exception`` is the original one; it does not travel."""

    category: Category
    type: str
    message: str
    provider: str | None = None
    http_status: int | None = None

    @property
    def exception(self) -> BaseException | None:
        """The exception itself, where the task was run in this process."""
        return self.__dict__.get("exception")


class Attempt(Struct, frozen=True, kw_only=True):
    """One call of one provider. Times are seconds."""

    id: str
    provider: str
    model: str | None
    outcome: Status
    category: Category | None
    started_at: datetime
    duration: float
    time_to_first_token: float | None
    usage: Usage | None
    cost: float | None
    violations: tuple[str, ...]


class ClaimCheck(Struct, frozen=True, kw_only=True):
    """Where the whole of a result is that was too large for the topic: a path or URL, its size, its digest."""

    location: str
    bytes: int
    sha256: str


class Result(Struct, frozen=True, kw_only=True):
    """The outcome of a task. Times are seconds on the worker's clock; money is USD.

    ``value`` also holds what was finished when the status is not ``succeeded``; a child leaves it out where
    its parent's value holds it at the same place. ``possible_duplicate_calls``, of a task that was taken up again
    after a crash or a rebalance, is how many of its calls at most were made twice.
    """

    task_id: str
    kind: str
    status: Status
    value: Any | UnsetType = UNSET
    error: Failure | None = None
    tag: str | None = None
    metadata: dict[str, Any] | None = None
    provider: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    degraded: bool = False
    attempts: tuple[Attempt, ...] = ()
    usage: Usage | None = None
    cost: float | None = None
    received_at: datetime
    started_at: datetime
    finished_at: datetime
    queue_time: float
    duration: float
    winner: int | UnsetType = UNSET
    agreement: float | UnsetType = UNSET
    children: tuple[Result, ...] | dict[str, Result] | UnsetType = UNSET
    claim_check: ClaimCheck | UnsetType = UNSET
    possible_duplicate_calls: int | UnsetType = UNSET

    @property
    def succeeded(self) -> bool:
        """Whether the task was answered."""
        return self.status is Status.SUCCEEDED

    @property
    def retries(self) -> int:
        """Attempts beyond the first of each call, children included."""
        again = sum(not attempt.id.endswith("#1") for attempt in self.attempts)
        return again + sum(child.retries for child in self.each_child())

    @property
    def time_to_first_token(self) -> float | None:
        """Seconds until the attempt that answered said its first word; None unless it was streamed."""
        from streamer.telemetry import measures

        return measures.time_to_first_token(self)

    @property
    def tokens_per_second(self) -> float | None:
        """Output tokens of the attempt that answered over the seconds that it took, those to the first token apart.

        None where nobody knows, or where several calls answered together.
        """
        from streamer.telemetry import measures

        return measures.tokens_per_second(self)

    @property
    def peak_concurrency(self) -> int:
        """The most of its leaves that were at work at once: attempts, and callables that make none.

        One that begins within a millisecond of another's end comes after it. Children that a result does not list,
        those of a ``map`` over an input of unknown length, are not counted.
        """
        from streamer.telemetry import measures

        return measures.peak_concurrency(self)

    @property
    def speed_up(self) -> float | None:
        """How many times longer it would have taken, had its leaves worked one after another, waits as they were.

        1.0 where no two were at work at once; None where nothing was, or it took no time.
        """
        from streamer.telemetry import measures

        return measures.speed_up(self)

    def each_child(self) -> tuple[Result, ...]:
        """The children in order, whatever the task's shape."""
        if isinstance(self.children, UnsetType):
            return ()
        return tuple(self.children.values()) if isinstance(self.children, dict) else self.children

    @property
    def successes(self) -> int:
        """How many children succeeded."""
        return sum(child.succeeded for child in self.each_child())

    @property
    def failures(self) -> int:
        """How many children did not succeed."""
        return len(self.each_child()) - self.successes

    @property
    def counts(self) -> dict[Status, int]:
        """How many children ended in each status; they add up to how many there are."""
        counts = dict.fromkeys(Status, 0)
        for child in self.each_child():
            counts[child.status] += 1
        return counts

    def child(self, key: int | str) -> Result:
        """The child of that index or name, with its value, wherever that is held."""
        children = self.by_key()
        if key not in children:
            known = ", ".join(str(known) for known in list(children)[:20]) or "none"
            raise LookupError(f"The result of {self.task_id} has no child {key!r}; there are {known}.")
        child = children[key]
        return replace(child, value=self.value_of(key, child)) if child.succeeded else child

    def value_of(self, key: int | str, child: Result) -> Any:
        """The value of a child that succeeded: its own, or what is held for it at its place."""
        if child.value is not UNSET:
            return child.value
        whole: Any = self.value
        return whole if key == self.winner or isinstance(whole, UnsetType) else whole[key]

    def errors(self) -> dict[int | str, Failure]:
        """Why children did not succeed, by index or name."""
        return {key: child.error for key, child in self.by_key().items() if child.error is not None}

    def by_key(self) -> dict[int | str, Result]:
        """The children by index or name."""
        if isinstance(self.children, dict):
            return {name: child for name, child in self.children.items()}  # noqa: C416 - the wider type
        return dict(enumerate(self.each_child()))

    def successful_values(self) -> list[Any]:
        """The values of the children that succeeded, in order, wherever they are held."""
        return [self.value_of(key, child) for key, child in self.by_key().items() if child.succeeded]

    @property
    def all_succeeded(self) -> bool:
        """Whether the task and all its children succeeded."""
        return self.succeeded and not self.failures


class Unencodable(ValueError):
    """A value that the wire cannot carry."""


class Encoder:
    """Encodes results as JSON or MessagePack; NaN, which JSON would lose silently, is an error."""

    def __init__(self) -> None:
        self.json = msgspec.json.Encoder()
        self.msgpack = msgspec.msgpack.Encoder()

    def encode(self, result: Result, msgpack: bool = False) -> bytes:
        """The bytes of a result; :class:`Unencodable` names what cannot travel."""
        try:
            check_values(result)
            if msgpack:  # instants as text, as in JSON: not every language's MessagePack has its timestamps
                return self.msgpack.encode(msgspec.to_builtins(result, builtin_types=(bytes, bytearray)))
            return self.json.encode(result)
        except Unencodable:
            raise
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Unencodable(f"The value cannot be encoded: {error}") from error


def check_values(result: Result, path: str = "") -> None:
    """Refuse NaN and infinity in the value of a result and in those of its children."""
    value = result.value
    if not isinstance(value, str) and value is not None and value is not UNSET:
        check_finite(value, f"{path}value")
    if result.children is not UNSET:
        named = isinstance(result.children, dict)
        keys = result.children if isinstance(result.children, dict) else range(len(result.children))
        for key, child in zip(keys, result.each_child(), strict=True):
            check_values(child, f"{path}children.{key}." if named else f"{path}children[{key}].")


def check_finite(value: Any, path: str) -> None:
    """Refuse NaN and infinity anywhere in a value of arrays, objects, Structs and dataclasses."""
    if isinstance(value, float):
        if not isfinite(value):
            raise Unencodable(f"{value} cannot travel as JSON - at `{path}`")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_finite(item, f"{path}.{key}")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            check_finite(item, f"{path}[{index}]")
    elif isinstance(value, Struct) or is_dataclass(value):
        names = value.__struct_fields__ if isinstance(value, Struct) else (f.name for f in fields(value))
        for name in names:
            check_finite(getattr(value, name), f"{path}.{name}")
