"""Children under way: what every combinator starts, awaits and stops the same way."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.errors import Cancelled
from streamer.scope import Step, outcome
from streamer.single import Single


class Children:
    """The running children of one combinator.

    Invariant: whatever was started has ended, or has had the grace to, once ``stop`` has returned.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.tasks: dict[int, asyncio.Task[Any]] = {}
        self.ended: list[int] = []
        self.wake: asyncio.Future[None] | None = None
        self.stopped = False

    def start(self, index: int, child: Step, single: Single[Any]) -> None:
        """Start a child; ``index`` is its place in the input."""
        task = self.step.scope.start(child.run(single))
        self.tasks[index] = task
        task.add_done_callback(lambda _: self.note(index))

    def note(self, index: int) -> None:
        """Remember that a child has ended."""
        self.ended.append(index)
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)

    async def next(self, seconds: float | None = None) -> list[int]:
        """The children that have ended since the last call, at least one, in input order.

        None at all when ``seconds`` went by first.
        """
        if not self.ended:
            loop = self.step.scope.loop
            self.wake = loop.create_future()
            timer = None if seconds is None else loop.call_later(seconds, self.expire)
            try:
                await self.wake
            finally:
                self.wake = None
                if timer is not None:
                    timer.cancel()
        ended = sorted(self.ended)
        self.ended.clear()
        return ended

    def expire(self) -> None:
        """Wake up without a child."""
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)

    def outcome(self, index: int) -> Any:
        """The value of a child, or its error raised; one that was stopped is :class:`Cancelled`."""
        task = self.tasks[index]
        if self.stopped and (task.cancelled() or not task.done()):
            raise Cancelled("Its siblings' outcome ended it.")
        return outcome(task)

    @property
    def running(self) -> int:
        """How many have not ended."""
        return sum(not task.done() for task in self.tasks.values())

    async def stop(self) -> None:
        """Cancel what still runs and await it within the grace."""
        self.stopped = True
        if any(not task.done() for task in self.tasks.values()):
            await self.step.scope.cancel(self.tasks.values())
