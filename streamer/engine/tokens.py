"""One task, read along."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from streamer.chunks import Chunk, Chunks
from streamer.errors import CallFailed, Category
from streamer.results import Result

Run = Callable[..., Coroutine[Any, Any, Result]]


def tokens(run: Run, task: Any) -> Observable[Chunk]:
    """What models say of a task; every subscription runs it, and disposing of it cancels what runs."""

    def subscribe(
        observer: abc.ObserverBase[Chunk], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        del scheduler  # a task lives on the running loop, nowhere else

        async def answer() -> None:
            result = await run(task, chunks=Chunks(observer.on_next))
            if result.succeeded:
                observer.on_completed()
            else:
                observer.on_error(reason(result))

        running = asyncio.get_running_loop().create_task(answer())

        def dispose() -> None:
            running.cancel()

        return Disposable(dispose)

    return Observable(subscribe)


def reason(result: Result) -> Exception:
    """Why a task did not succeed."""
    if result.error is None:
        return CallFailed(Category.INTERNAL, f"The task is {result.status}.")
    found = result.error.exception
    return found if isinstance(found, Exception) else CallFailed(result.error.category, result.error.message)
