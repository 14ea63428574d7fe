"""The tasks that run, by id, so that one can be ended from elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from streamer.scope import Scope

BY_ID = "It was cancelled by its id."


class Running:
    """The scopes of tasks under way.

    Invariants: a scope is here while its task runs and no longer; a cancellation by id ends that task alone, never
    what runs it: who is asked to has absorbed it by the time its task has its result.
    """

    def __init__(self) -> None:
        self.scopes: dict[str, list[Scope]] = {}

    def enter(self, scope: Scope) -> None:
        """It begins, in the asyncio task that runs now."""
        scope.work = asyncio.current_task()
        namesakes = self.scopes.get(scope.task_id)
        if namesakes is None:
            self.scopes[scope.task_id] = [scope]
        else:
            namesakes.append(scope)

    def leave(self, scope: Scope) -> None:
        """It has ended, well or not."""
        namesakes = self.scopes[scope.task_id]
        if len(namesakes) == 1:
            del self.scopes[scope.task_id]
        else:
            namesakes.remove(scope)

    def cancel(self, task_id: str) -> bool:
        """Cancel all tasks of that id; whether there are any."""
        namesakes = self.scopes.get(task_id, ())
        for scope in namesakes:
            if not scope.cancelled and scope.work is not None:
                scope.cancelled = True
                scope.work.cancel()
        return bool(namesakes)


async def absorb(scope: Scope, *, raised: bool) -> None:
    """Take a cancellation by id back, which its code ``raised``, swallowed, or was too quick to be reached by."""
    assert scope.work is not None
    if not raised:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
    scope.work.uncancel()
