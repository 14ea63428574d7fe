"""The tasks that run, or wait for a slot, by id, so that one can be ended from elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from streamer.errors import Cancelled, Category, TimedOut
from streamer.scope import Scope, own_cancellation

BY_ID = "It was cancelled by its id."


class Unbegun:
    """Stands for the scope of a task that waits for its slot."""

    cancelled = False


Entry = tuple[Scope | Unbegun, asyncio.Task[Any] | None]
"""A task's scope and the asyncio task that runs it."""


class Running(dict[str, Entry]):
    """The tasks under way, by id; those that share one with a task before them are ``namesakes``.

    Invariants: a task is in one of the two while it runs and no longer; a cancellation by id ends that task alone,
    never what runs it: who is asked to has absorbed it by the time its task has its result. (The engine itself puts
    an entry in and takes it out where its id is its own, for it does that for every task.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.namesakes: dict[str, list[Entry]] = {}

    def join(self, task_id: str, entry: Entry) -> None:
        """It begins, and is not the only one of its id."""
        self.namesakes.setdefault(task_id, []).append(entry)

    async def wait(
        self, task_id: str, slot: Coroutine[Any, Any, None], seconds: float | None
    ) -> Exception | None:
        """Wait for a slot, at most so long; or why the task has ended before it had one."""
        late = TimedOut("The deadline has passed.", Category.DEADLINE)
        if seconds is not None and not seconds > 0:
            slot.close()
            return late
        waiting = Unbegun()
        entry = (waiting, asyncio.current_task())
        if self.setdefault(task_id, entry) is not entry:
            self.join(task_id, entry)
        try:
            async with asyncio.timeout(seconds):
                await slot
        except TimeoutError:
            return late
        except asyncio.CancelledError:
            if waiting.cancelled:
                await absorb(raised=True)
                if not own_cancellation():
                    return Cancelled(BY_ID)
            raise
        finally:
            self.leave(task_id, entry)
        return None

    def leave(self, task_id: str, entry: Entry) -> None:
        """One has ended."""
        if self.get(task_id) is entry:
            del self[task_id]
            return
        namesakes = self.namesakes[task_id]
        namesakes.remove(entry)
        if not namesakes:
            del self.namesakes[task_id]

    def cancel(self, task_id: str) -> bool:
        """Cancel all tasks of that id; whether there are any."""
        entries = list(self.namesakes.get(task_id, ()))
        if task_id in self:
            entries.append(self[task_id])
        for scope, work in entries:
            if not scope.cancelled and work is not None:
                scope.cancelled = True
                work.cancel()
        return bool(entries)


async def absorb(*, raised: bool) -> None:
    """Take a cancellation by id back, which its code ``raised``, swallowed, or was too quick to be reached by."""
    if not raised:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
    work = asyncio.current_task()
    assert work is not None
    work.uncancel()
