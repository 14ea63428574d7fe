"""How many at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from streamer.errors import SettingsError


class Slots:
    """A count of slots with a queue of waiters, first come, first served.

    Invariants: 0 <= active <= limit; nobody waits while a slot is free; a slot goes straight from who gives it
    to who has waited longest.
    """

    __slots__ = ("active", "freed", "kept", "limit", "name", "peak", "waiters")

    def __init__(self, limit: int, name: str = "concurrency") -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise SettingsError(f"{name} is a whole number of at least 1, not {limit!r}.")
        self.limit = limit
        self.name = name
        self.active = 0
        self.peak = 0
        self.kept = 0
        """Work that has just returned and whose slots are not to be given now: strays hold them, or they were lent."""
        self.waiters: deque[asyncio.Future[None]] = deque()
        self.freed: tuple[Callable[[], object], ...] = ()
        """Told of every slot that nobody waits for; all who share the limit are."""

    def take(self) -> bool:
        """Take a free slot, if there is one."""
        active = self.active + 1
        if active > self.limit:
            return False
        self.active = active
        if active > self.peak:
            self.peak = active
        return True

    def give(self) -> None:
        """Give a slot back: to the first who waits, else to whom ``freed`` tells of it."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.active -= 1
        for tell in self.freed:
            tell()

    async def acquire(self) -> None:
        """Wait for a slot; when cancelled, none is held."""
        if self.take():
            return
        waiter = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give()
            else:
                with suppress(ValueError):  # a slot given since then has passed it over already
                    self.waiters.remove(waiter)
            raise
