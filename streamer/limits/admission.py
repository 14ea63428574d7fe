"""A run slot for who is no item of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from streamer.limits.concurrency import Limit
from streamer.limits.lending import tenant


class Alone:
    """One who holds a slot of his own."""

    def __init__(self, slots: Limit) -> None:
        self.slots = slots
        self.strays = 0

    def more(self) -> None:
        """There is nothing else to do."""


def inhabits(slots: Limit) -> bool:
    """Whether what runs here holds a slot of these already."""
    holder = tenant.get()
    return holder is not None and holder.slots is slots


@asynccontextmanager
async def admitted(slots: Limit, priority: int | None) -> AsyncGenerator[float]:
    """Wait for a slot and hold it, or leave it to the strays; gives the time of arrival, on the loop's clock."""
    arrived = asyncio.get_running_loop().time()
    await slots.acquire(priority)
    token = tenant.set(Alone(slots))
    try:
        yield arrived
    finally:
        tenant.reset(token)
        if slots.kept:
            slots.kept -= 1
        else:
            slots.give()
