"""The form of what is rendered later: a ``map``'s task and a workflow's steps.

Names and kinds are judged when the message is decoded; types only once the templates are filled.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from streamer import tasks

CONTROL: dict[str, type[tasks.Strict]] = {"if": tasks.If, "for": tasks.For, "while": tasks.While}
NESTED_STEPS = ("then", "else", "steps")
FIELDS = {
    kind: {"kind", *(f.encode_name for f in msgspec.structs.fields(t))} for kind, t in tasks.KINDS.items()
}
STRUCTS: dict[str, type[tasks.Strict]] = {
    "retry": tasks.Retry,
    "timeout": tasks.Timeouts,
    "messages": tasks.Message,
}
PARTS = {name: {f.encode_name for f in msgspec.structs.fields(t)} for name, t in STRUCTS.items()}
UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


class BadForm(ValueError):
    """A template names something that the wire does not know; ``unknown_kind`` says whether it is a kind."""

    def __init__(self, message: str, *, unknown_kind: bool = False) -> None:
        super().__init__(message)
        self.unknown_kind = unknown_kind


def check_form(form: Any, path: str, depth: int = 1) -> int:
    """Check the names in a task's template; the depth of the deepest task in it is returned."""
    if not isinstance(form, dict):
        raise BadForm(f"Expected a task (an object) - at `{path}`")
    if "kind" not in form:
        raise BadForm(f"Object missing required field `kind` - at `{path}`")
    kind = form["kind"]
    if not isinstance(kind, str) or kind not in FIELDS:
        raise BadForm(f"Invalid value {kind!r} - at `{path}.kind`", unknown_kind=isinstance(kind, str))
    check_names(form, FIELDS[kind], path)
    for name, names in PARTS.items():
        part = form.get(name)
        if isinstance(part, list | tuple):
            for index, item in enumerate(part):
                check_names(item, names, f"{path}.{name}[{index}]")
        else:
            check_names(part, names, f"{path}.{name}")
    deepest = depth
    children = form.get("tasks")
    if isinstance(children, dict):
        for name, child in children.items():
            deepest = max(deepest, check_form(child, f"{path}.tasks.{name}", depth + 1))
    elif isinstance(children, list | tuple):
        for index, child in enumerate(children):
            deepest = max(deepest, check_form(child, f"{path}.tasks[{index}]", depth + 1))
    if kind == "map" and "task" in form:
        deepest = max(deepest, check_form(form["task"], f"{path}.task", depth + 1))
    if kind == "workflow" and isinstance(form.get("steps"), list | tuple):
        deepest = max(deepest, check_steps(form["steps"], f"{path}.steps", depth + 1))
    return deepest


def check_steps(steps: Sequence[Any], path: str, depth: int = 1) -> int:
    """Check a workflow's steps and all that is in them; the depth of the deepest task is returned."""
    deepest = depth
    for index, step in enumerate(steps):
        here = f"{path}[{index}]"
        shape = next(
            (CONTROL[word] for word in CONTROL if isinstance(step, dict) and word in step), tasks.Step
        )
        try:
            msgspec.convert(step, shape)
        except msgspec.ValidationError as error:
            text, place = located(str(error))
            raise BadForm(f"{text} - at `{completed(text, place).replace('$', here, 1)}`") from error
        if shape is tasks.Step:
            deepest = max(deepest, check_form(step["task"], f"{here}.task", depth))
        for word in NESTED_STEPS:
            if word in step:
                deepest = max(deepest, check_steps(step[word], f"{here}.{word}", depth + 1))
    return deepest


def check_names(form: Any, names: Collection[str], path: str) -> None:
    """Check the names in an object, if it is one already: a template may become one."""
    if isinstance(form, dict):
        for name in form:
            if name not in names:
                raise BadForm(f"Object contains unknown field `{name}` - at `{path}.{name}`")


def known_only(what: str, struct: type[msgspec.Struct], given: Collection[str]) -> None:
    """Refuse, from Python, names that a part of a task doesn't have, and say which it has."""
    names = struct.__struct_encode_fields__
    for name in given:
        if name not in names:
            raise ValueError(f"{what}: unknown field `{name}`; there are {', '.join(names)}.")


def located(message: str) -> tuple[str, str]:
    """What msgspec says, and the place, which begins at ``$``."""
    text, at, place = message.rpartition(" - at `")
    return (text, place.removesuffix("`")) if at else (message, "$")


def completed(text: str, place: str) -> str:
    """The place with the unknown field, which msgspec leaves out."""
    unknown = UNKNOWN_FIELD.fullmatch(text)
    return place if unknown is None else f"{place}.{unknown[1]}"
