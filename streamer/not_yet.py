"""What a task may say and this version does not do: it is refused, so that nothing pretends."""

from __future__ import annotations

from operator import attrgetter

from streamer.errors import CallFailed, Category
from streamer.tasks import KINDS as TASKS
from streamer.tasks import TaskBase

KINDS = frozenset({"workflow", "plan"})
FIELDS: dict[str, tuple[str, ...]] = {
    "llm": ("response_schema", "tools", "guardrails", "stream"),
}
EVERYWHERE = ("resources",)
LOOK = {
    kind: (names, attrgetter(*names, names[0]))  # twice, for of a single name it would give no tuple
    for kind in TASKS
    for names in [(*EVERYWHERE, *FIELDS.get(kind, ()))]
}
"""All of a task's such fields at one look, for this is done for every task."""
UNSAID = {
    kind: tuple(False if name == "stream" else None for name in (*names, names[0]))
    for kind, (names, _) in LOOK.items()
}
"""What that look finds where nothing is said."""


def refuse_kind(kind: str) -> None:
    """Say of a kind whose engine is to come that it is not run."""
    if kind in KINDS:
        raise CallFailed(
            Category.INVALID_REQUEST,
            f"Tasks of kind {kind!r} are understood but not run yet by this version.",
        )


def refuse_fields(task: TaskBase, kind: str) -> None:
    """Say of every field that has no effect yet that it has none."""
    names, look = LOOK[kind]
    values = look(task)
    if values == UNSAID[kind]:
        return
    for name, value in zip(names, values, strict=False):
        if value is not None and value is not False and value != ():
            raise no_effect(name)


def no_effect(name: str) -> CallFailed:
    return CallFailed(Category.INVALID_REQUEST, f"`{name}` has no effect yet in this version; leave it out.")
