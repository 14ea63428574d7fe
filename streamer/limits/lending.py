"""A task's run slot: its own while it works, lent to others while it only waits."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from streamer.limits.concurrency import Limit

if TYPE_CHECKING:
    from streamer.events import TaskJournal

T = TypeVar("T")


class Tenant(Protocol):
    """A stream that runs its items in slots of a limit. ``strays`` counts work that outlived its item."""

    slots: Limit
    strays: int

    def more(self) -> None:
        """See what there is to do now."""
        ...


tenant: ContextVar[Tenant | None] = ContextVar("streamer_tenant", default=None)
"""The stream that what runs is an item of, and in whose slot."""


NONE: set[Any] = set()
"""Stays empty: most tasks start nothing, and need no set of their own."""


class RunSlot:
    """One slot, shared by all that a task does at once.

    Invariants: ``active`` counts the work under way, ``sleeping`` the back-offs, and ``strays`` holds what was
    cancelled and has not ended; the slot is lent only while there are sleepers and nothing of the rest; work begins
    only with the slot in hand, and one wait for it serves all that would begin. A task with a journal is parked only
    while the slot is lent and every sleeper sleeps for ``park_after`` seconds at least; each ``park`` has its
    ``unpark``, before anything begins.
    """

    slots: Limit | None = None
    inner: Limit | None = None
    """For those inside that ask for the very limit that the slot is of: it is theirs, one at a time."""
    priority: int | None = None
    holds = False
    """Whether slots of limits were ever held around what it runs; see :class:`Hold`."""
    lent = False
    active = 0
    sleeping = 0
    reclaiming: asyncio.Future[None] | None = None
    journal: TaskJournal | None = None
    park_after = inf
    brief = 0
    """Back-offs too short for parking."""
    parked = False
    strays: set[asyncio.Future[Any]] = NONE

    async def begin(self) -> None:
        """Some work is to begin: with the slot in hand."""
        if self.lent:
            await self.reclaim()
        self.active += 1

    def end(self) -> None:
        """Some work has ended."""
        self.active -= 1
        if self.sleeping:
            self.rest()

    async def sleep(self, seconds: float) -> None:
        """Sleep, without the slot if nothing else goes on."""
        brief = seconds < self.park_after
        self.sleeping += 1
        self.brief += brief
        if brief and self.parked:
            self.unpark()
        self.rest()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.sleeping -= 1
            self.brief -= brief

    async def wait(self, future: asyncio.Future[T]) -> T:
        """Wait for what others do, without the slot if nothing else goes on; that is no reason to be parked."""
        self.sleeping += 1
        self.brief += 1
        if self.parked:
            self.unpark()
        self.rest()
        try:
            return await future
        finally:
            self.sleeping -= 1
            self.brief -= 1

    def rest(self) -> None:
        """Lend the slot if all that is left to do is wait; park if that is for long."""
        if self.slots is None or self.parked or not self.sleeping or self.active or self.strays:
            return
        if not self.lent:
            self.lent = True
            self.slots.give()
        if self.journal is not None and not self.brief and self.reclaiming is None:
            self.parked = True
            self.journal.park()

    def unpark(self) -> None:
        """Something goes on, or all of it has ended."""
        if self.parked and self.journal is not None:
            self.parked = False
            self.journal.unpark()

    async def reclaim(self) -> None:
        """Wait until the slot is in hand again."""
        self.unpark()
        slots = self.slots
        assert slots is not None
        while self.lent:
            if self.reclaiming is not None:
                await asyncio.wait((self.reclaiming,))
                continue
            waited = self.reclaiming = asyncio.get_running_loop().create_future()
            try:
                await slots.acquire(self.priority)
                self.lent = False
            finally:
                self.reclaiming = None
                waited.set_result(None)
