"""One partition's way into the journal: what is noted goes in, and who must wait until it is durable waits here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streamer.events import Outcome
from streamer.kafka.journal.log import Log

LINGER = 0.02
"""Seconds that a note waits for others, unless somebody waits for it."""


class Channel:
    """A `Log` and those who wait for it.

    ``due`` is whether the writer is to take its next batch, ``busy`` whether one is under way. ``wake`` tells the
    writer to look.
    """

    __slots__ = ("busy", "closed", "due", "log", "loop", "number", "timer", "waiters", "wake")

    def __init__(self, number: int, log: Log, wake: Callable[[], None]) -> None:
        self.number = number
        self.log = log
        self.wake = wake
        self.loop = asyncio.get_running_loop()
        self.due = self.busy = self.closed = False
        self.timer: asyncio.TimerHandle | None = None
        self.waiters: list[tuple[int, asyncio.Future[None]]] = []

    def note(self, offset: int, outcome: Outcome) -> int:
        """Write it soon; its ticket."""
        ticket = self.log.note(offset, outcome)
        if self.timer is None and not self.busy and not self.closed:
            self.timer = self.loop.call_later(LINGER, self.hurry)
        return ticket

    async def settle(self, ticket: int) -> None:
        """Return once it is durable, or the channel closed."""
        if self.log.settled(ticket) or self.closed:
            return
        waiter: asyncio.Future[None] = self.loop.create_future()
        self.waiters.append((ticket, waiter))
        self.hurry()
        await waiter

    async def flush(self, seconds: float) -> bool:
        """Wait until all that was noted is durable; False when time ran out."""
        try:
            async with asyncio.timeout(seconds):
                await self.settle(self.log.ticket)
        except TimeoutError:
            return False
        return self.log.settled(self.log.ticket)

    def hurry(self) -> None:
        """Let the writer take a batch as soon as none is under way."""
        self.rest()
        self.due = True
        self.wake()

    def rest(self) -> None:
        """Nothing lingers any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def settled(self) -> None:
        """More is durable than before: tell who waited for it, and linger for the rest."""
        left = []
        for ticket, waiter in self.waiters:
            if not self.log.settled(ticket):
                left.append((ticket, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self.waiters = left
        if left:
            self.hurry()
        elif self.log.waiting and self.timer is None and not self.closed:
            self.timer = self.loop.call_later(LINGER, self.hurry)

    def close(self) -> None:
        """Nothing more is written, and nobody waits any longer."""
        self.closed = True
        self.due = False
        self.rest()
        for _, waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters = []
