"""What users hear while something runs: their callbacks, whose errors change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from streamer.scope import own_cancellation

Callback = Callable[..., Any]


async def tell(callback: Callback, *args: Any) -> None:
    """Call it, and await what it returns; what it raises is the loop's exception handler's to report."""
    try:
        told = callback(*args)
        if isawaitable(told):
            await told
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | GeneratorExit) or own_cancellation():
            raise
        asyncio.get_running_loop().call_exception_handler(
            {"message": "A callback raised", "exception": error}
        )


class Callbacks:
    """Who is told of each child once: of its value or its error, and then how many have ended of how many."""

    __slots__ = ("complete", "error", "progress", "wanted")

    def __init__(
        self, on_progress: Callback | None, on_complete: Callback | None, on_error: Callback | None
    ) -> None:
        given = {"on_progress": on_progress, "on_complete": on_complete, "on_error": on_error}
        for name, callback in given.items():
            if callback is not None and not callable(callback):
                raise ValueError(f"{name} is a function, not {callback!r}.")
        self.progress, self.complete, self.error = on_progress, on_complete, on_error
        self.wanted = any(callback is not None for callback in given.values())

    async def completed(self, value: Any, key: int | str, done: int, total: int | None) -> None:
        if self.complete is not None:
            await tell(self.complete, value, key)
        if self.progress is not None:
            await tell(self.progress, done, total)

    async def failed(self, error: Exception, key: int | str, done: int, total: int | None) -> None:
        if self.error is not None:
            await tell(self.error, error, key)
        if self.progress is not None:
            await tell(self.progress, done, total)


NOBODY = Callbacks(None, None, None)
