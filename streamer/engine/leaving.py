"""What becomes of a task's run slot in the end, where something of it outlives its grace."""

from __future__ import annotations

import asyncio
from functools import partial

from streamer.limits import Limit, Tenant, tenant
from streamer.scope import Scope


class Leaving:
    """Counts strays: tasks that have their results while something of theirs still runs."""

    slots: Limit | None
    strays = 0

    async def closed(self, scope: Scope) -> None:
        """Nothing that its code left behind outlives a task by more than the grace."""
        try:
            await scope.close()
        except asyncio.CancelledError:
            self.leave(scope)
            raise

    def leave(self, scope: Scope) -> None:
        """Say what becomes of the run slot: lent already, or kept by strays until the last has ended."""
        scope.closed = True
        scope.unpark()
        slots = self.slots
        strays = bool(scope.tasks or scope.threads)
        stream = tenant.get()
        if stream is None or stream.slots is not slots:
            stream = None
        if slots is not None and (scope.lent or strays):
            slots.kept += 1
        if strays:
            self.strays += 1
            if stream is not None:
                stream.strays += 1
            scope.when_empty = partial(self.emptied, scope, stream)

    def emptied(self, scope: Scope, stream: Tenant | None) -> None:
        """The last stray of a task has ended."""
        scope.when_empty = None
        self.strays -= 1
        if stream is not None:
            stream.strays -= 1
        if self.slots is not None and not scope.lent:
            self.slots.give()
        if stream is not None:
            stream.more()
