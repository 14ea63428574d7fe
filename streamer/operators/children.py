"""Children under way: what every combinator starts, awaits and stops the same way."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

from streamer.errors import Cancelled
from streamer.scope import outcome
from streamer.single import Single
from streamer.step import Step


class Children:
    """The running children of one combinator.

    Invariant: whatever was started has ended, or has had the grace to, once ``stop`` has returned.
    """

    def __init__(self, step: Step) -> None:
        self.scope = step.scope
        self.steps: dict[int, Step] = {}
        self.tasks: dict[int, asyncio.Task[Any]] = {}
        self.ended: list[int] = []
        self.wake: asyncio.Future[None] | None = None
        self.stopped = False

    def start(self, index: int, child: Step, single: Single[Any]) -> None:
        """Start a child; ``index`` is its place in the input."""
        self.steps[index] = child
        task = self.tasks[index] = self.scope.start(child.run(single))
        task.add_done_callback(lambda _: self.note(index))

    def note(self, index: int) -> None:
        """Remember that a child has ended."""
        self.ended.append(index)
        self.rouse()

    def rouse(self) -> None:
        """Have whoever waits look again."""
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)

    async def next(self, until: float = inf) -> list[int]:
        """The children that have ended since the last call, in input order; none if it was roused, or then.

        ``until`` is on the loop's clock.
        """
        if not self.ended:
            wake = self.wake = self.scope.loop.create_future()
            timer = None if until == inf else self.scope.loop.call_at(until, self.rouse)
            try:
                await wake
            finally:
                self.wake = None
                if timer is not None:
                    timer.cancel()
        ended = sorted(self.ended)
        self.ended.clear()
        return ended

    def outcome(self, index: int) -> Any:
        """The value of a child, or its error raised; one that was stopped is :class:`Cancelled`."""
        task = self.tasks[index]
        if self.stopped and (task.cancelled() or not task.done()):
            raise Cancelled("Its siblings' outcome ended it.")
        return outcome(task)

    async def stop(self) -> None:
        """Cancel what still runs and await it within the grace."""
        self.stopped = True
        if any(not task.done() for task in self.tasks.values()):
            await self.scope.cancel(self.tasks.values())
