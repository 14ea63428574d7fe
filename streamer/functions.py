"""The wire's values from Python: what a producer in any language would send, checked the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec.structs import asdict

from streamer.forms import known_only
from streamer.limits import Limit
from streamer.providers.function import FunctionTarget
from streamer.tasks import Function, Llm, Retry, TaskBase, Timeouts

K = TypeVar("K", bound=TaskBase)


def llm(prompt: str | None = None, **fields: Any) -> Llm:
    """A model call: a ``prompt`` (with perhaps a ``system``), or ``messages``; ``model`` and the other fields of the wire.

    ``retry`` may be a number, of attempts in all. A wrong field or value is a ``ValueError`` with its name and range.
    """
    return checked(Llm, fields if prompt is None else {"prompt": prompt, **fields})


def function(name: str, *args: Any, **fields: Any) -> Function:
    """A call of a registered function: arguments by position, or ``arguments={...}`` by name."""
    if args and "arguments" in fields:
        raise ValueError("function: arguments are given either by position or as `arguments`, not both.")
    given = {"arguments": args, **fields} if args else fields
    return checked(Function, {"name": name, **given})


def in_thread(function: Callable[..., Any], *, concurrency: int | Limit | None = None) -> FunctionTarget:
    """A plain function that blocks, for operators: called with arguments, or in the place of a callable without any.

    It runs in a thread, at most ``concurrency`` at once (32). Operators call what is not wrapped on the event loop,
    so that it can make Singles and coroutines there; it had better not block.
    """
    return wrapped(function, "thread", concurrency)


def in_process(function: Callable[..., Any], *, concurrency: int | Limit | None = None) -> FunctionTarget:
    """The same for one that computes: in a process, which can import it, at most as many as there are processors."""
    return wrapped(function, "process", concurrency)


def wrapped(function: Callable[..., Any], run_in: str, concurrency: int | Limit | None) -> FunctionTarget:
    if not callable(function):
        raise ValueError(f"in_{run_in}: takes a function, not {function!r}.")
    name = getattr(function, "__name__", type(function).__name__)
    return FunctionTarget(function, name, run_in=run_in, concurrency=concurrency)


def checked(kind: type[K], fields: dict[str, Any]) -> K:
    """A task of these fields, or what is wrong with them."""
    name = kind.__struct_config__.tag
    if type(fields.get("retry")) is int:
        fields = {**fields, "retry": {"max_attempts": fields["retry"]}}
    # values of these are judged with the task: nobody has when they were made
    fields = {
        name: asdict(part) if isinstance(part, Retry | Timeouts) else part for name, part in fields.items()
    }
    known_only(str(name), kind, fields)
    try:
        return msgspec.convert({"kind": name, **fields}, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name}: {error}") from error
