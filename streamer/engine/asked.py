"""What is to be answered: what it says of itself, whatever it is."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from streamer.single import Single
from streamer.tasks import KIND_OF, TaskBase


def asked(task: Any) -> TaskBase | None:
    """The task of the wire that it is, or that it is a call for; a Struct of the user's is none."""
    if isinstance(task, TaskBase):
        return task
    return task.task if isinstance(task, Single) else None


def kind_of(task: Any) -> str:
    """A task's kind: of a Struct of the user's, or whatever else there is to answer, its type."""
    kind = KIND_OF.get(type(task))
    if kind is not None:
        return kind
    if isinstance(task, Single):
        return task.kind
    return str(getattr(getattr(task, "__struct_config__", None), "tag", None) or type(task).__name__)


def id_of(task: Any) -> str:
    """The id that it has, or a new one; that of a Struct of the user's may be a number."""
    said = asked(task)
    return str(getattr(task if said is None else said, "id", None) or uuid4())


def deadline_of(task: Any, deadline: float | None) -> float | None:
    """The earlier of its own and one from outside, in seconds since the epoch."""
    said = asked(task)
    if said is None or said.deadline is None:
        return deadline
    own = said.deadline.timestamp()
    return own if deadline is None else min(own, deadline)
