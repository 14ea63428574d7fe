"""One submitted task, from its submission to its result."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import Any

from msgspec.structs import replace

from streamer.errors import Cancelled
from streamer.limits import Entry
from streamer.outcomes import result_of
from streamer.results import Result
from streamer.scope import Scope
from streamer.single import Single
from streamer.step import Step
from streamer.tasks import TaskBase


class Order:
    """What was submitted: what is to be done, in whose context, and the future of its result.

    ``work`` runs it once it has begun, and ``step`` is its first, which the engine sets. ``admitted`` is what its
    submitter waits for while there is no room.
    """

    id = ""
    place: Entry
    """Where it waits to begin."""
    priority = 0
    tag: str | None = None
    metadata: dict[str, Any] | None = None
    deadline: float | None = None
    """In seconds since the epoch."""
    step: Step | None = None
    work: asyncio.Task[None] | None = None
    admitted: asyncio.Future[None] | None = None
    begun = ended = False
    stopped = False
    """Whether it was the pool that cancelled it."""

    def __init__(self, plan: Single[Any], loop: asyncio.AbstractEventLoop) -> None:
        self.plan = plan
        self.loop = loop
        self.received = loop.time()
        self.context = copy_context()
        self.future: asyncio.Future[Result] = loop.create_future()

    def tells(self, task: TaskBase) -> None:
        """What a task of the wire says of itself holds."""
        self.id = self.id or task.id or ""
        self.tag = self.tag if task.tag is None else task.tag
        self.metadata = self.metadata if task.metadata is None else task.metadata
        self.priority = self.priority if task.priority is None else task.priority
        self.deadline = None if task.deadline is None else task.deadline.timestamp()

    @property
    def working(self) -> bool:
        """Whether it holds a worker: it has begun, and does not wait between two attempts."""
        return self.work is not None and (self.step is None or not self.step.scope.lent)

    def dressed(self, result: Result) -> Result:
        """A result with this one's tag and metadata."""
        if self.tag is None and self.metadata is None:
            return result
        metadata = result.metadata if self.metadata is None else dict(self.metadata)
        return replace(result, tag=self.tag or result.tag, metadata=metadata)

    def cut(self, error: BaseException) -> Result:
        """The result when it was ended from outside: with all that was tried, and paid for, until then."""
        step = self.step
        if step is None:
            step = Step(Scope(self.id))
            step.refuse(Cancelled(str(error)))
        return result_of(
            step,
            value=step.value,
            error=error,
            received=self.received,
            kind=self.plan.kind,
            task_id=self.id,
        )
