"""The form of what is rendered later: a ``map``'s task and a workflow's steps.

Names and kinds are judged when the message is decoded; types only once the templates are filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from streamer import tasks

CONTROL: dict[str, type[tasks.Strict]] = {"if": tasks.If, "for": tasks.For, "while": tasks.While}
NESTED_STEPS = ("then", "else", "steps")
FIELDS = {kind: {f.encode_name for f in msgspec.structs.fields(t)} for kind, t in tasks.KINDS.items()}


class BadForm(ValueError):
    """A template names something that the wire does not know; ``unknown_kind`` says whether it is a kind."""

    def __init__(self, message: str, *, unknown_kind: bool = False) -> None:
        super().__init__(message)
        self.unknown_kind = unknown_kind


def check_form(form: Any, path: str, depth: int = 1) -> int:
    """Check the names in a task's template; the depth of the deepest task in it is returned."""
    if not isinstance(form, dict):
        raise BadForm(f"Expected a task (an object) - at `{path}`")
    kind = form.get("kind")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise BadForm(f"Invalid value {kind!r} - at `{path}.kind`", unknown_kind=isinstance(kind, str))
    for name in form:
        if name != "kind" and name not in FIELDS[kind]:
            raise BadForm(f"Object contains unknown field `{name}` - at `{path}.{name}`")
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
            raise BadForm(relative(str(error), here)) from error
        if shape is tasks.Step:
            deepest = max(deepest, check_form(step["task"], f"{here}.task", depth))
        for word in NESTED_STEPS:
            if word in step:
                deepest = max(deepest, check_steps(step[word], f"{here}.{word}", depth + 1))
    return deepest


def relative(message: str, path: str) -> str:
    """Put msgspec's path, which begins at ``$``, below ours."""
    text, at, rest = message.partition(" - at `$")
    return f"{text} - at `{path}{rest}" if at else f"{text} - at `{path}`"
