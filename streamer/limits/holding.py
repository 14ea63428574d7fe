"""A slot that is held around whatever runs, and lent while that only backs off."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import overload

from streamer.limits.concurrency import Joint, Limit
from streamer.limits.lending import RunSlot, tenant


class Hold:
    """One slot of a limit around all that runs inside: calls, functions, further holds.

    Invariants: it is lent only while there are back-offs inside and nothing else; whatever begins inside has it in
    hand, and with it all that is around it, so that nobody waits for what is outside while he holds what is inside;
    it is given back once, when it was left and the last that runs inside has ended, strays included. Whoever asks
    inside for a slot of the same ``limit`` shares this one, one at a time, so that nobody waits for himself.
    """

    inner: Limit | None = None
    left = False
    lent = True
    active = 0
    sleeping = 0
    reclaiming: asyncio.Future[None] | None = None

    def __init__(self, limit: Limit, around: Hold | RunSlot, slots: Limit, priority: int | None) -> None:
        self.limit = limit
        self.around = around
        self.run: RunSlot | None = around.run if isinstance(around, Hold) else None
        """The run slot, where what is around does not keep it in hand."""
        self.slots = slots
        """Where the slot is from: the limit, or the slot of it that is held around."""
        self.priority = priority

    async def begin(self) -> None:
        """Some work is to begin inside: with the slot in hand."""
        while self.lent:
            if self.reclaiming is not None:
                await asyncio.wait((self.reclaiming,))
                continue
            waited = self.reclaiming = asyncio.get_running_loop().create_future()
            try:
                await self.take()
            finally:
                self.reclaiming = None
                waited.set_result(None)
        self.active += 1

    def join(self) -> bool:
        """Some work begins if the slot is in hand; as it is beside other that has begun."""
        if self.lent:
            return False
        self.active += 1
        return True

    def end(self) -> None:
        """It has ended."""
        self.active -= 1
        self.rest()

    async def take(self) -> None:
        run = self.run
        if run is not None:
            await run.begin()
        try:
            await self.around.begin()
            try:
                await self.slots.acquire(self.priority)
            except BaseException:
                self.around.end()
                raise
        except BaseException:
            if run is not None:
                run.end()
            raise
        self.lent = False

    def rest(self) -> None:
        """Give the slot away if nothing needs it now."""
        if not self.lent and not self.active and (self.left or self.sleeping):
            self.lent = True
            self.slots.give()
            self.around.end()
            if self.run is not None:
                self.run.end()

    def leave(self) -> None:
        """What it is held for is over; its strays may not be."""
        self.left = True
        self.rest()


held: ContextVar[Hold | None] = ContextVar("streamer_held", default=None)
"""The innermost slot around what runs."""


def enter(limit: Limit | Joint, slots: Limit | Joint, run: RunSlot) -> Token[Hold | None]:
    """Note that a call holds a slot of the limit around code that may ask for another; until it says ``depart``."""
    hold: Hold | RunSlot = held.get() or run
    for part, slot in zip(parts(limit), parts(slots), strict=True):
        hold = Hold(part, hold, slot, None)
        hold.lent, hold.active = False, 1
    assert isinstance(hold, Hold)
    run.holds = True
    return held.set(hold)


def depart(token: Token[Hold | None]) -> None:
    """That code has ended; thrown away unfinished, it does so in another context."""
    with suppress(ValueError):
        held.reset(token)


def parts(limit: Limit | Joint) -> tuple[Limit, ...]:
    return (limit,) if isinstance(limit, Limit) else (limit.first, limit.second)


@overload
def within(limit: Limit, hold: Hold | None, run: RunSlot) -> Limit: ...
@overload
def within(limit: Limit | Joint, hold: Hold | None, run: RunSlot) -> Limit | Joint: ...
def within(limit: Limit | Joint, hold: Hold | None, run: RunSlot) -> Limit | Joint:
    """Where a slot of the limit is to be had: there, or inside the one that is held already."""
    if isinstance(limit, Joint):
        pair = within(limit.first, hold, run), within(limit.second, hold, run)
        return limit if pair == (limit.first, limit.second) else Joint(*pair)
    holder: Hold | RunSlot | None = hold
    while isinstance(holder, Hold) and holder.limit is not limit:
        holder = holder.around
    if holder is None or not isinstance(holder, Hold):
        if run.slots is not limit:
            return limit
        holder = run
    if holder.inner is None:
        holder.inner = Limit(1, limit.name)
    return holder.inner


def apart() -> None:
    """What runs from here on is in no slot that was held where it was started."""
    held.set(None)
    tenant.set(None)


def doze(hold: Hold | RunSlot | None) -> None:
    """A back-off inside begins."""
    while isinstance(hold, Hold):
        hold.sleeping += 1
        hold.rest()
        hold = hold.around


def wake(hold: Hold | RunSlot | None) -> None:
    """It is over."""
    while isinstance(hold, Hold):
        hold.sleeping -= 1
        hold = hold.around
