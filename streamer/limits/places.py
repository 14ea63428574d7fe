"""The places of those that run side by side, and who lends his while he only backs off."""

from __future__ import annotations

from collections.abc import Callable

from streamer.limits.concurrency import Limit
from streamer.limits.holding import Hold
from streamer.limits.lending import RunSlot

RESTING = 10
"""For every place so many may have lent theirs; a further one that backs off keeps it, so that memory is bounded."""


class Places(Limit):
    """The places of one run of an operator; ``vacant`` is told of those that are lent."""

    __slots__ = ("resting", "vacant")

    def __init__(self, limit: int, vacant: Callable[[], object]) -> None:
        super().__init__(limit)
        self.vacant = vacant
        self.resting = 0


class Place(Hold):
    """Held around a child, of whom it is taken and to whom it is given elsewhere; here it is only lent.

    Other than another hold it keeps nothing of what is around it in hand: whatever runs inside does so itself. Once
    it was left, what still runs inside has no place, and needs none.
    """

    def __init__(self, places: Places, around: Hold | RunSlot) -> None:
        super().__init__(places, around, places, None)
        self.places = places
        self.lent = False
        self.outer: Hold | None = None
        if isinstance(around, Hold):
            self.outer = around
        else:
            self.run = around

    async def begin(self) -> None:
        around = self.around
        await around.begin()
        try:
            await super().begin()
        except BaseException:
            around.end()
            raise
        if self.outer is None:
            around.active -= 1  # whoever begins counts there himself, from now on

    def join(self) -> bool:
        if self.lent or (self.outer is not None and not self.outer.join()):
            return False
        self.active += 1
        return True

    def end(self) -> None:
        self.active -= 1
        if self.sleeping:
            self.rest()
        if self.outer is not None:
            self.outer.end()

    async def take(self) -> None:
        places = self.places
        try:
            await places.acquire()
        except BaseException:
            places.vacant()  # it may have come too late
            raise
        if self.left:
            places.give()
            places.vacant()
        else:
            places.resting -= 1
            self.lent = False

    def rest(self) -> None:
        places = self.places
        if self.lent or self.left or self.active or not self.sleeping:
            return
        if places.resting < RESTING * places.limit:
            places.resting += 1
            self.lent = True
            places.give()
            places.vacant()

    def leave(self) -> None:
        """The child has ended; what may still run of it has no place."""
        self.left = True
        if self.lent:
            self.lent = False
            self.places.resting -= 1
