"""Items read one at a time, when there is room for one and not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from inspect import isgenerator
from typing import Any

from streamer.errors import Cancelled, StreamerError
from streamer.scope import own_cancellation

Items = Iterable[Any] | AsyncIterable[Any]
END = object()
"""There is no more."""
LATER = object()
"""It has not come yet."""


class Reading:
    """An iterable; a generator is closed with it."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items = iter(items)

    def work(self) -> Coroutine[Any, Any, None] | None:
        """What has to run for it."""
        return None

    def ready(self) -> bool:
        """Whether there is an item, or the end; if not, it is asked for."""
        return True

    def take(self) -> Any:
        """The next item, which is ready, or END."""
        return next(self.items, END)

    def close(self) -> None:
        if isgenerator(self.items):
            self.items.close()


class AsyncReading(Reading):
    """An async iterable, read by one asyncio task from its first item to its closing; ``rouse`` tells of items."""

    def __init__(self, items: AsyncIterable[Any], rouse: Callable[[], None]) -> None:
        self.source = aiter(items)
        self.item: Any = LATER
        self.error: Exception | None = None
        self.room = asyncio.Event()
        self.rouse = rouse

    def ready(self) -> bool:
        if self.item is LATER:
            self.room.set()
        return self.item is not LATER

    def take(self) -> Any:
        if self.error is not None:
            raise self.error
        item = self.item
        if item is not END:
            self.item = LATER
        return item

    async def work(self) -> None:
        """The end, or an error, is told of once the source is closed."""
        error: Exception | None = None
        try:
            while True:
                await self.room.wait()
                item = await anext(self.source, END)
                if item is END:
                    break
                self.room.clear()  # only now: who asked meanwhile asked for this one
                self.item = item
                self.rouse()
        except asyncio.CancelledError as cancelled:
            if own_cancellation():
                raise
            error = Cancelled(str(cancelled) or "It raised CancelledError itself.")
        except Exception as raised:
            error = raised
        finally:
            close = getattr(self.source, "aclose", None)
            try:
                if close is not None:
                    await close()
            finally:
                self.item, self.error = END, error
                self.rouse()

    def close(self) -> None:
        """The task that reads it has closed it."""


class Once:
    """An iterator, which gives its items to whoever reads it first."""

    def __init__(self, items: Items) -> None:
        self.items: Items | None = items

    def opened(self) -> Items:
        items, self.items = self.items, None
        if items is None:
            raise StreamerError(
                "map: items is an iterator, which can be read only once; give a collection to what is run again."
            )
        return items


def reading(items: Items, rouse: Callable[[], None]) -> Reading:
    """What reads these items."""
    return AsyncReading(items, rouse) if isinstance(items, AsyncIterable) else Reading(items)
