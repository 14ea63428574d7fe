"""Where tasks go into the user's Observable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from reactivex import abc
from reactivex.subject import Subject


class Entrance(Subject[Any]):
    """A Subject that keeps what comes before anybody has subscribed to it.

    Stock operators such as ``merge`` and ``concat`` subscribe to their sources on the scheduler, later than they
    are subscribed to. With the first subscription all that was kept goes in, a turn of the loop later, so that others
    who subscribe in the same turn have it too.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, failing: Callable[[Exception], None]) -> None:
        super().__init__()
        self.loop = loop
        self.failing = failing
        self.kept: list[Any] | None = []
        self.completes = self.opening = False

    def _subscribe_core(
        self, observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        subscription = super()._subscribe_core(observer, scheduler)
        if self.kept is not None and not self.opening:
            if self.kept or self.completes:
                self.opening = True
                self.loop.call_soon_threadsafe(self.open)
            else:
                self.kept = None
        return subscription

    def push(self, task: Any) -> None:
        """Emit it, or keep it for now."""
        if self.kept is not None:
            self.kept.append(task)
            return
        try:
            self.on_next(task)
        except Exception as error:
            self.failing(error)

    def complete(self) -> None:
        """Complete, behind what is kept."""
        if self.kept is not None:
            self.completes = True
            return
        try:
            self.on_completed()
        except Exception as error:
            self.failing(error)

    def open(self) -> None:
        """Let in what was kept."""
        kept, self.kept = self.kept or [], None
        for task in kept:
            self.push(task)
        if self.completes:
            self.complete()
