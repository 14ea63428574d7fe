"""Waiting for whatever comes next: the end of a commit, or that a partition has gone."""

from __future__ import annotations

import asyncio


class Turns:
    """Wakes all who wait, each time; what they waited for they see for themselves."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.next: asyncio.Future[None] = self.loop.create_future()

    async def wait(self) -> None:
        """Return at the next one."""
        await asyncio.shield(self.next)

    def over(self) -> None:
        """Wake them."""
        over, self.next = self.next, self.loop.create_future()
        over.set_result(None)
