"""A task's run slot: its own while it works, lent to others while it only waits."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.limits.concurrency import Slots


class RunSlot:
    """One slot, shared by all that a task does at once.

    Invariants: ``active`` counts the work under way, ``sleeping`` the back-offs, and ``strays`` holds what was
    cancelled and has not ended; the slot is lent only while there are sleepers and nothing of the rest; work begins
    only with the slot in hand, and one wait for it serves all that would begin.
    """

    slots: Slots | None = None
    lent = False
    active = 0
    sleeping = 0
    reclaiming: asyncio.Future[None] | None = None

    def __init__(self) -> None:
        self.strays: set[asyncio.Future[Any]] = set()

    def end(self) -> None:
        """Some work has ended."""
        self.active -= 1
        if self.sleeping:
            self.rest()

    async def sleep(self, seconds: float) -> None:
        """Sleep, without the slot if nothing else goes on."""
        self.sleeping += 1
        self.rest()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.sleeping -= 1

    def rest(self) -> None:
        """Lend the slot if all that is left to do is wait."""
        if self.slots is None or self.lent or not self.sleeping:
            return
        if not (self.active or self.strays):
            self.lent = True
            self.slots.give()

    async def reclaim(self) -> None:
        """Wait until the slot is in hand again."""
        slots = self.slots
        assert slots is not None
        while self.lent:
            if self.reclaiming is not None:
                await asyncio.wait((self.reclaiming,))
                continue
            waited = self.reclaiming = asyncio.get_running_loop().create_future()
            try:
                await slots.acquire()
                self.lent = False
            finally:
                self.reclaiming = None
                waited.set_result(None)
