"""How many at once."""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop as running_loop  # None where none runs
from collections.abc import Callable
from threading import Lock

from streamer.errors import SettingsError
from streamer.limits.waiting import Entry, Waiting


class Limit:
    """How many run at once, over all who share the object. ``name`` says in errors what it is a limit of.

    Who waits for a slot goes by ``priority``, and among equals by arrival; see :class:`Waiting`. Invariants:
    0 <= active <= limit; nobody waits while a slot is free; a slot goes straight from who gives it to whoever is
    next.
    """

    __slots__ = ("active", "freed", "kept", "limit", "name", "peak", "turn", "waiters")

    def __init__(self, limit: int, name: str = "concurrency") -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise SettingsError(f"{name} is a whole number of at least 1, not {limit!r}.")
        if not isinstance(name, str):
            raise SettingsError(f"name of a limit is a text, not {name!r}.")
        self.limit = limit
        self.name = name
        self.active = 0
        self.peak = 0
        self.kept = 0
        """Work that has just returned and whose slots are not to be given now: strays hold them, or they were lent."""
        self.turn = Lock()
        """Whose turn it is to change who waits: loops of several threads may share a limit."""
        self.waiters: Waiting[asyncio.Future[None]] = Waiting()
        self.freed: tuple[Callable[[], object], ...] = ()
        """Told of every slot that nobody waits for; all who share the limit are."""

    def __repr__(self) -> str:
        return f"Limit({self.limit}, name={self.name!r})"

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
        """Give a slot back: to who is next of those that wait, else to whom ``freed`` tells of it."""
        while self.waiters.alive:
            with self.turn:
                waiter = self.waiters.popleft() if self.waiters.alive else None
            if waiter is not None and not waiter.done() and self.hand(waiter):
                return
        self.active -= 1
        for tell in self.freed:
            tell()

    async def acquire(self, priority: int | None = None) -> None:
        """Wait for a slot; when cancelled, none is held."""
        if self.take():
            return
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        with self.turn:
            entry = self.waiters.push(waiter, priority, loop.time())
        if self.take():  # another thread gave it back before it could see who waits
            waiter.cancel()
            self.discard(entry)
            return
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.give()
            else:
                self.discard(entry)
            raise

    def discard(self, entry: Entry) -> None:
        with self.turn:
            self.waiters.discard(entry)

    def hand(self, waiter: asyncio.Future[None]) -> bool:
        """Hand a slot over; False where he waits on a loop that was closed."""
        loop = waiter.get_loop()
        if loop is running_loop():
            waiter.set_result(None)
            return True
        try:
            loop.call_soon_threadsafe(self.arrive, waiter)
        except RuntimeError:
            return False
        return True

    def arrive(self, waiter: asyncio.Future[None]) -> None:
        """A slot has come from another thread; to whoever is next, if he waits no more."""
        if waiter.done():
            self.give()
        else:
            waiter.set_result(None)


def limit_of(given: int | Limit, name: str) -> Limit:
    """The limit itself where one is given, or one of its own for a number."""
    return given if isinstance(given, Limit) else Limit(given, name)


class Joint:
    """A slot of each of two limits, the first one's taken first."""

    __slots__ = ("first", "second")

    def __init__(self, first: Limit, second: Limit) -> None:
        self.first = first
        self.second = second

    @property
    def limit(self) -> int:
        """How many at once."""
        return min(self.first.limit, self.second.limit)

    def take(self) -> bool:
        """Take a slot of both, if both are free."""
        if not self.first.take():
            return False
        if self.second.take():
            return True
        self.first.give()
        return False

    def give(self) -> None:
        """Give both back."""
        self.second.give()
        self.first.give()

    async def acquire(self, priority: int | None = None) -> None:
        """Wait for both; when cancelled, none is held."""
        await self.first.acquire(priority)
        try:
            await self.second.acquire(priority)
        except BaseException:
            self.first.give()
            raise
