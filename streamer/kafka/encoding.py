"""A result as bytes, whatever it holds: what can't be written is a failure, and what else was answered stays."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from streamer.errors import Category
from streamer.results import Encoder, Failure, Result, Status, Unencodable


def encoded(encoder: Encoder, result: Result, msgpack: bool = False) -> tuple[Result, bytes]:
    """A result and its bytes; in place of one that can't be encoded a failed one that says why."""
    try:
        return result, encoder.encode(result, msgpack)
    except Unencodable:
        result = salvaged(encoder, result, msgpack)
    try:
        return result, encoder.encode(result, msgpack)
    except Unencodable:  # it was not the value, or not this one
        result = replace(bare(result), value=None, attempts=())
    return result, encoder.encode(result, msgpack)


def salvaged(encoder: Encoder, result: Result, msgpack: bool = False) -> Result:
    """The result as a failed one, with the values that can be encoded: of children who failed by that there is none."""
    try:
        encoder.encode(result, msgpack)
    except Unencodable as error:
        why = str(error)
    else:
        return result
    values: dict[int | str, Any] = {}
    children: dict[int | str, Result] = {}
    for key, child in result.by_key().items():
        held = child.succeeded and child.value is UNSET
        whole = salvaged(encoder, result.child(key) if held else child, msgpack)
        values[key] = whole.value if whole.succeeded else None
        children[key] = replace(whole, value=UNSET) if held and whole.succeeded else whole
    if children:
        named = isinstance(result.children, dict)
        result = replace(result, children=children if named else tuple(children.values()))
    return replace(failed(result, Category.INTERNAL, why), value=parts(result.value, values))


def parts(value: Any, values: dict[int | str, Any]) -> Any:
    """Children's values in the place of the value that held them; None where it held something else."""
    if isinstance(value, list) and len(value) == len(values):
        return list(values.values())
    if isinstance(value, dict) and values and value.keys() <= values.keys():
        return {name: values[name] for name in value}
    return None


def failed(result: Result, category: Category, why: str) -> Result:
    """The same result, failed and without what could not be written."""
    error = Failure(category=category, type="Unwritable", message=why)
    return replace(result, status=Status.FAILED, value=None, error=error, claim_check=UNSET)


def bare(result: Result) -> Result:
    """The same result without what can make it large."""
    return replace(result, metadata=None, children=(), attempts=result.attempts[:10])
