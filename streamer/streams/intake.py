"""Many tasks into a stream, which is to know when it has the last of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from inspect import isgenerator
from typing import Any

from reactivex import Observable
from reactivex import operators as ops

from streamer.streams.stream import Stream

Run = Callable[[Any], Coroutine[Any, Any, Any]]
Tasks = Observable[Any] | Iterable[Any] | AsyncIterable[Any]


def intake(answer: Any, run: Run, tasks: Tasks) -> tuple[Run, Tasks]:
    """The same function and the same tasks, of which a stream hears when it has the last; anything else needn't."""
    if not isinstance(answer, Stream):
        return run, tasks
    counted = Intake(run, answer.complete)
    return counted.run, counted.source(tasks)


class Intake:
    """Counts the tasks of a source and those that have begun, and says ``complete`` when it was all of them."""

    def __init__(self, run: Run, complete: Callable[[], None]) -> None:
        self.begin = run
        self.complete = complete
        self.left = 0
        self.ended = False

    async def run(self, task: Any) -> Any:
        """Answer one task of the source."""
        self.left -= 1
        self.look()
        return await self.begin(task)

    def source(self, tasks: Tasks) -> Tasks:
        """The same tasks."""
        if isinstance(tasks, Observable):
            return tasks.pipe(ops.do_action(self.came, on_completed=self.end))
        return self.read(tasks)

    async def read(self, tasks: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[Any]:
        """Of an iterable; it is closed however this ends."""
        items = aiter(tasks) if isinstance(tasks, AsyncIterable) else iter(tasks)
        try:
            if isinstance(items, AsyncIterable):
                async for task in items:
                    self.came(task)
                    yield task
            else:
                for task in items:
                    self.came(task)
                    yield task
            self.end()
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()
            elif isgenerator(items):
                items.close()

    def came(self, task: Any) -> None:
        del task
        self.left += 1

    def end(self) -> None:
        self.ended = True
        self.look()

    def look(self) -> None:
        """Whether the last has begun; it is in the stream a turn of the loop later."""
        if self.ended and not self.left:
            asyncio.get_running_loop().call_soon(self.complete)
