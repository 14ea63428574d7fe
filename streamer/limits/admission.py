"""A run slot for who is no item of a stream."""

from __future__ import annotations

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
async def holding(slots: Limit) -> AsyncGenerator[None]:
    """Hold a slot that was taken, and give it back or leave it to the strays."""
    token = tenant.set(Alone(slots))
    try:
        yield
    finally:
        tenant.reset(token)
        if slots.kept:
            slots.kept -= 1
        else:
            slots.give()
