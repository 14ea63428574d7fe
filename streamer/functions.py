"""The wire's values from Python: what a producer in any language would send, checked the same way."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from streamer.tasks import Function, Llm, TaskBase

K = TypeVar("K", bound=TaskBase)


def llm(prompt: str | None = None, **fields: Any) -> Llm:
    """A model call: a ``prompt`` (with perhaps a ``system``), or ``messages``; ``model`` and the other fields of the wire.

    A wrong field or value is a ``ValueError`` with its name and range.
    """
    return checked(Llm, fields if prompt is None else {"prompt": prompt, **fields})


def function(name: str, *args: Any, **fields: Any) -> Function:
    """A call of a registered function: arguments by position, or ``arguments={...}`` by name."""
    if args and "arguments" in fields:
        raise ValueError("function: arguments are given either by position or as `arguments`, not both.")
    given = {"arguments": args, **fields} if args else fields
    return checked(Function, {"name": name, **given})


def checked(kind: type[K], fields: dict[str, Any]) -> K:
    """A task of these fields, or what is wrong with them."""
    try:
        return msgspec.convert({"kind": kind.__struct_config__.tag, **fields}, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{kind.__struct_config__.tag}: {error}") from error
