"""What a task may say and this version does not do: it is refused, so that nothing pretends."""

from __future__ import annotations

from operator import attrgetter

from streamer.errors import CallFailed, Category
from streamer.tasks import KINDS as TASKS
from streamer.tasks import TaskBase, Timeouts

KINDS = frozenset({"workflow", "plan"})
FIELDS: dict[str, tuple[str, ...]] = {
    "llm": ("response_schema", "tools", "guardrails", "stream"),
}
EVERYWHERE = ("priority", "resources")
LOOK = {
    kind: (names, attrgetter(*names)) for kind in TASKS for names in [(*EVERYWHERE, *FIELDS.get(kind, ()))]
}
"""All of a task's such fields at one look, for this is done for every task."""
CLOCKS = ("queue", "connect", "first_token", "between_tokens")


def refuse_kind(kind: str) -> None:
    """Say of a kind whose engine is to come that it is not run."""
    if kind in KINDS:
        raise CallFailed(
            Category.INVALID_REQUEST,
            f"Tasks of kind {kind!r} are understood but not run yet by this version.",
        )


def refuse_fields(task: TaskBase, kind: str) -> None:
    """Say of every field that has no effect yet that it has none."""
    names, values = LOOK[kind]
    for place, value in enumerate(values(task)):
        if value is not None and value is not False and value != ():
            raise no_effect(names[place])
    clocks = task.timeout
    if isinstance(clocks, Timeouts):
        for name in CLOCKS:
            if getattr(clocks, name) is not None:
                raise no_effect(f"timeout.{name}")


def no_effect(name: str) -> CallFailed:
    return CallFailed(Category.INVALID_REQUEST, f"`{name}` has no effect yet in this version; leave it out.")
