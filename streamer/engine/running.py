"""The tasks that run, by id, so that one can be ended from elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from streamer.scope import Scope

BY_ID = "It was cancelled by its id."


class Running(dict[str, Scope]):
    """The scopes of tasks under way, by id; those that share one with a task before them are ``namesakes``.

    Invariants: a scope is in one of the two while its task runs and no longer; a cancellation by id ends that task
    alone, never what runs it: who is asked to has absorbed it by the time its task has its result.
    """

    def __init__(self) -> None:
        super().__init__()
        self.namesakes: dict[str, list[Scope]] = {}

    def enter(self, scope: Scope) -> None:
        """It begins, in the asyncio task that runs now."""
        scope.work = asyncio.current_task()
        if self.setdefault(scope.task_id, scope) is not scope:
            self.namesakes.setdefault(scope.task_id, []).append(scope)

    def leave(self, scope: Scope) -> None:
        """It has ended, well or not."""
        scope.work = None
        if self.get(scope.task_id) is scope:
            del self[scope.task_id]
        else:
            namesakes = self.namesakes[scope.task_id]
            namesakes.remove(scope)
            if not namesakes:
                del self.namesakes[scope.task_id]

    def cancel(self, task_id: str) -> bool:
        """Cancel all tasks of that id; whether there are any."""
        scopes = list(self.namesakes.get(task_id, ()))
        if task_id in self:
            scopes.append(self[task_id])
        for scope in scopes:
            if not scope.cancelled and scope.work is not None:
                scope.cancelled = True
                scope.work.cancel()
        return bool(scopes)


async def absorb(*, raised: bool) -> None:
    """Take a cancellation by id back, which its code ``raised``, swallowed, or was too quick to be reached by."""
    if not raised:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
    work = asyncio.current_task()
    assert work is not None
    work.uncancel()
