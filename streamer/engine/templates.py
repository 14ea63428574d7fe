"""Templates: texts with ``{{ … }}`` in a task that is made many times, or of what came before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from streamer.engine.seen import Seen, plain
from streamer.errors import CallFailed, Category

if TYPE_CHECKING:
    from minijinja import Environment

OPEN, CLOSE = "{{", "}}"
WAY = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d+\])*)\s*\}\}")
STEP = re.compile(r"\[(\d+)\]|\.(\w+)")
ASTRAY = object()
FOUND = " found"  # no template can name it
FUEL = 100_000
UNBOUNDED = ("format", "indent", "wordwrap")
"""Filters that a few letters make write gigabytes."""
OF_ITS_OWN = {"map": ("task",), "workflow": ("steps", "output")}
"""What a kind renders itself, when its time has come."""
Names = Mapping[str, Any]
Render = Callable[[Names], Any]


class Template:
    """A task's form whose texts are rendered with names, each time anew.

    A text that is exactly one ``{{ … }}`` becomes the value itself, whatever its type; in a longer text what is no
    text is written as JSON. What was inserted is not rendered again, and neither are the names of fields. The task
    of a ``map`` within is left to that map, the steps of a workflow to the workflow. A template that is malformed,
    or names what is not among ``names``, is ``invalid_request`` as soon as it is made.
    """

    def __init__(self, form: Any, names: Collection[str], path: str = "$") -> None:
        self.names = frozenset(names)
        self.form = form
        self.rendering = self.task(form, path)

    def render(self, names: Names) -> Any:
        """The form with all its texts rendered; what a text lacks is ``invalid_request``."""
        if self.rendering is None:
            return self.form
        return self.rendering(names)

    def task(self, form: Any, path: str) -> Render | None:
        """How a task is rendered; None if there is nothing to render in it."""
        if not isinstance(form, Mapping):
            return self.value(form, path)
        kind = form.get("kind")
        own = OF_ITS_OWN.get(kind, ()) if isinstance(kind, str) else ()
        if kind == "map" and "task" in form:
            Template(form["task"], {"item", "index"}, f"{path}.task")  # judged before anything is called
        parts = {}
        for key, value in form.items():
            if key in own:
                continue
            part = self.tasks if key == "tasks" else self.value
            parts[key] = part(value, f"{path}.{key}")
        return whole_object(form, parts)

    def tasks(self, forms: Any, path: str) -> Render | None:
        """How the tasks in a task are."""
        if isinstance(forms, Mapping):
            return whole_object(forms, {key: self.task(form, f"{path}.{key}") for key, form in forms.items()})
        if isinstance(forms, list | tuple):
            return whole_array(forms, [self.task(form, f"{path}[{i}]") for i, form in enumerate(forms)])
        return self.value(forms, path)

    def value(self, value: Any, path: str) -> Render | None:
        """How anything else is."""
        if isinstance(value, str):
            return self.text(value, path) if OPEN in value else None
        if isinstance(value, Mapping):
            return whole_object(
                value, {key: self.value(part, f"{path}.{key}") for key, part in value.items()}
            )
        if isinstance(value, list | tuple):
            return whole_array(value, [self.value(part, f"{path}[{i}]") for i, part in enumerate(value)])
        return None

    def text(self, text: str, path: str) -> Render:
        """How a text is; its form and its names are judged now."""
        values, texts = environments()
        try:
            unknown = values.undeclared_variables_in_str(text) - self.names
        except RuntimeError as error:
            raise refused(error, path) from error
        if unknown:
            known = ", ".join(sorted(self.names))
            raise CallFailed(
                Category.INVALID_REQUEST,
                f"Unknown name {', '.join(sorted(unknown))} in a template; there are {known} - at `{path}`",
            )
        alone = text.startswith(OPEN) and text.endswith(CLOSE)
        way = WAY.fullmatch(text)
        steps = [] if way is None else [int(i) if i else name for i, name in STEP.findall(f".{way[1]}")]

        def render(names: Names) -> Any:
            try:
                if steps and (value := followed(names, steps)) is not ASTRAY:
                    return value
                seen = {name: Seen.of(value) for name, value in names.items()}
                if alone:
                    found: list[Any] = []
                    between = values.render_str(text, **{FOUND: found}, **seen)
                    if len(found) == 1 and not between:
                        return plain(found[0])
                return texts.render_str(text, **seen)
            except Exception as error:
                raise refused(error, path) from error

        return render


def followed(value: Any, steps: Sequence[str | int]) -> Any:
    """What stands at the end of ``name.field[index]``: the library would make 2 of 2.0, and says better what is wrong."""
    for step in steps:
        holds = isinstance(value, Mapping) if isinstance(step, str) else isinstance(value, list | tuple)
        if not holds:
            return ASTRAY
        try:
            value = value[step]
        except LookupError:
            return ASTRAY
    return value


def whole_object(form: Mapping[str, Any], parts: Mapping[str, Render | None]) -> Render | None:
    """How an object is rendered of which some parts are templates."""
    rendered = {key: part for key, part in parts.items() if part is not None}
    if not rendered:
        return None
    return lambda names: {**form, **{key: part(names) for key, part in rendered.items()}}


def whole_array(form: Sequence[Any], parts: Sequence[Render | None]) -> Render | None:
    """How an array is rendered of which some parts are templates."""
    if all(part is None for part in parts):
        return None
    return lambda names: [
        value if part is None else part(names) for value, part in zip(form, parts, strict=True)
    ]


def written(value: Any) -> str:
    """A value within a text."""
    value = plain(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def refused(error: Exception, path: str) -> CallFailed:
    """What is wrong with a template, in a line."""
    said = getattr(error, "detail", None) or str(error).partition("\n")[0]
    return CallFailed(Category.INVALID_REQUEST, f"The template can't be rendered: {said} - at `{path}`")


@cache
def environments() -> tuple[Environment, Environment]:
    """What gives the values of a text's expressions, and what gives the text; neither knows more than expressions."""
    from minijinja import Environment, pass_state

    @pass_state
    def keep(state: Any, value: Any) -> str:
        state.lookup(FOUND).append(value)
        return ""

    def environment(finalizer: Any) -> Environment:
        made = Environment(
            finalizer=finalizer,
            undefined_behavior="strict",
            keep_trailing_newline=True,
            fuel=FUEL,
            pycompat=False,
            block_start_string="\0{%",
            block_end_string="%}\0",
            comment_start_string="\0{#",
            comment_end_string="#}\0",
        )
        for name in list(made.globals):
            made.remove_global(name)
        for name in UNBOUNDED:
            made.remove_filter(name)
        return made

    return environment(keep), environment(written)
