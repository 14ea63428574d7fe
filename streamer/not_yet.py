"""What a task may say and this version does not do: it is refused, so that nothing pretends."""

from __future__ import annotations

from streamer.errors import CallFailed, Category
from streamer.tasks import TaskBase, Timeouts

KINDS = frozenset({"map", "consensus", "workflow", "plan"})
FIELDS: dict[str, tuple[str, ...]] = {
    "llm": ("response_schema", "tools", "guardrails", "stream"),
    "race": ("hedge_delay",),
}
EVERYWHERE = ("priority", "resources")
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
    for name in EVERYWHERE:
        if getattr(task, name) not in (None, {}):
            raise no_effect(name)
    for name in FIELDS.get(kind, ()):
        if getattr(task, name) not in (None, (), False):
            raise no_effect(name)
    clocks = task.timeout
    if isinstance(clocks, Timeouts):
        for name in CLOCKS:
            if getattr(clocks, name) is not None:
                raise no_effect(f"timeout.{name}")


def no_effect(name: str) -> CallFailed:
    return CallFailed(
        Category.INVALID_REQUEST, f"`{name}` has no effect yet in this version; leave it out."
    )
