"""Whether two answers say the same: pure, and never by the letters of a number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, is_dataclass
from decimal import Context, Decimal, InvalidOperation
from math import isfinite
from typing import Any, NamedTuple
from unicodedata import normalize

from msgspec import Struct

from streamer.errors import CallFailed, Category

ABSTAINS = object()
"""The key of an answer that is none in this comparison: it agrees with nothing, itself included."""
NUMBER = re.compile(
    r"(?:(?<![\w.)])[-\u2212])?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+(?!\w))?"
)
FENCED = re.compile(r"\s*```\w*\s*\n(.*)\n\s*```\s*", re.DOTALL)
OPENING = "\"'`*_([{\u201c\u2018\u00ab"
CLOSING = "\"'`*_)]}\u201d\u2019\u00bb.,;:!?\u2026"
AS_WRITTEN = Context(prec=15)
"""What a float is sure of: 0.1 + 0.2 is 0.3."""
LETTERS = 2_000
"""Texts longer than this are compared by their words."""
LONGEST = 50_000
"""Texts longer than this are similar only where they are equal: the event loop does not wait for the rest."""


@dataclass(frozen=True)
class Comparison:
    """How answers are compared: by keys that are equal, or with ``alike`` by keys that are near enough."""

    key: Callable[[Any], Any]
    alike: Callable[[Any, Any], bool] | None = None


def comparison(compare: str, threshold: float) -> Comparison:
    """By its name on the wire; ``threshold`` is that of ``similarity``."""
    if compare == "similarity":
        return Comparison(folded, lambda one, other: near(one, other, threshold))
    return Comparison(KEYS[compare])


def frozen(value: Any, text: Callable[[str], Any] = str) -> Hashable:
    """A key that is equal for equal values: 1 is 1.0 but neither true nor "1"; an object's names have no order."""
    if isinstance(value, str):
        return "text", text(value)
    if isinstance(value, bool) or value is None:
        return "constant", value
    if isinstance(value, dict):
        return "object", frozenset((name, frozen(item, text)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return "array", tuple(frozen(item, text) for item in value)
    if isinstance(value, Struct) or is_dataclass(value):
        names = value.__struct_fields__ if isinstance(value, Struct) else [f.name for f in fields(value)]
        return type(value), tuple(frozen(getattr(value, name), text) for name in names)
    try:
        hash(value)
    except TypeError as error:
        kind = type(value).__name__
        raise CallFailed(Category.INVALID_RESPONSE, f"compare: a {kind} can't be compared.") from error
    return "number" if isinstance(value, int | float) else type(value), value


def normalized(text: str) -> str:
    """Without case, runs of blanks, and what stands around a sentence: quotes, emphasis, its final stop."""
    folded = " ".join(normalize("NFC", text).casefold().split())
    return folded.lstrip(OPENING).rstrip(CLOSING)


def parsed(value: Any) -> Any:
    """What a text says as JSON, in a code fence or not; a text that is none abstains. Other values as they are."""
    if not isinstance(value, str):
        return value
    fence = FENCED.fullmatch(value)
    try:
        return json.loads(value if fence is None else fence[1], parse_constant=refuse)
    except (ValueError, RecursionError):
        return ABSTAINS


def refuse(constant: str) -> Any:
    """NaN and infinities are not of JSON."""
    raise ValueError(constant)


def as_json(value: Any) -> Any:
    """The key of a value of JSON."""
    found = parsed(value)
    return found if found is ABSTAINS else frozen(found)


def numbers(text: str) -> tuple[Decimal | str, ...]:
    """The numbers that are written in digits, and the signs such as ² and ½ that count as well."""
    found: list[Decimal | str] = [char for char in text if char.isnumeric() and not char.isdecimal()]
    for match in NUMBER.finditer(text):
        written = match[0].replace(",", "").replace("\u2212", "-")
        try:
            found.append(Decimal(written))
        except InvalidOperation:  # beyond all exponents
            found.append(written)
    return tuple(found)


def number(value: Any) -> Any:
    """A number, or the one in a text; anything else, several in a text too, abstains."""
    if isinstance(value, str):
        found = numbers(value)
        return found[0] if len(found) == 1 and isinstance(found[0], Decimal) else ABSTAINS
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not isfinite(value):
        return ABSTAINS
    return AS_WRITTEN.create_decimal(repr(value)) if isinstance(value, float) else Decimal(value)


KEYS: dict[str, Callable[[Any], Any]] = {
    "exact": frozen,
    "normalized": lambda value: frozen(value, normalized),
    "json": as_json,
    "number": number,
}
COMPARISONS = (*KEYS, "similarity")


class Text(NamedTuple):
    """A text as similarity sees it."""

    said: str
    numbers: tuple[Decimal | str, ...]


def folded(value: Any) -> Any:
    """A value with its texts made ready for :func:`near`."""
    if isinstance(value, str):
        return Text(normalized(value), numbers(value))
    if isinstance(value, dict):
        return {name: folded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [folded(item) for item in value]
    return frozen(value)


def near(one: Any, other: Any, threshold: float) -> bool:
    """Whether texts are as similar as that, at every place of objects and arrays; other values must be equal.

    However similar two texts are, they must hold the same numbers in the same order.
    """
    if isinstance(one, Text) and isinstance(other, Text):
        return one.numbers == other.numbers and similarity(one.said, other.said, threshold) >= threshold
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(near(one[name], other[name], threshold) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(near(a, b, threshold) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and bool(one == other)


def similarity(one: str, other: str, least: float = 0.0) -> float:
    """The share of both texts, 0 to 1, that they have in common in the same order: by letters, long ones by words.

    It is 0 where their lengths alone say that it is below ``least``.
    """
    if one == other:
        return 1.0
    longer = max(len(one), len(other))
    if longer > LONGEST:
        return 0.0
    long = longer > LETTERS
    a, b = (one.split(), other.split()) if long else (list(one), list(other))
    if 2 * min(len(a), len(b)) < least * (len(a) + len(b)):
        return 0.0
    return 2 * in_common(a, b) / (len(a) + len(b))


def in_common(one: list[str], other: list[str]) -> int:
    """The length of their longest common subsequence; a row of its table is one long number (Hyyrö)."""
    places: dict[str, int] = {}
    for index, item in enumerate(other):
        places[item] = places.get(item, 0) | 1 << index
    full = row = (1 << len(other)) - 1
    for item in one:
        found = row & places.get(item, 0)
        row = (row + found | row - found) & full
    return len(other) - row.bit_count()
