"""For scripts: the engine where no loop runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from streamer.errors import StreamerError
from streamer.results import Result

if TYPE_CHECKING:
    from streamer.engine.doors import Doors


def run(engine: Doors, task: Any) -> Result:
    """One task, in a loop of its own."""
    refuse_loop("run or run_sync", "await engine.run(task)")

    async def answer() -> Result:
        async with engine:
            return await engine.run(task)

    return asyncio.run(answer())


def stream(engine: Doors, tasks: Any, concurrency: int | None) -> Iterator[Result]:
    """Many, in a loop of their own, whose thread goes on while the script looks at a Result."""
    refuse_loop("stream_sync(tasks)", "async for result in engine.stream(tasks)")
    return results(engine, engine.stream(tasks, concurrency=concurrency))


def results(engine: Doors, answers: AsyncGenerator[Result]) -> Iterator[Result]:
    turn = asyncio.Lock()

    async def following() -> Result | None:
        async with turn:
            return await anext(answers, None)

    async def close() -> None:
        async with turn, engine:  # behind a reader that was interrupted
            await answers.aclose()

    with loop_in_thread() as call:
        try:
            while (result := call(following())) is not None:
                yield result
        finally:
            call(close())


@contextmanager
def loop_in_thread() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """A loop in a thread of its own, and what runs a coroutine there and waits for it."""
    started: Future[asyncio.AbstractEventLoop] = Future()

    def serve() -> None:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            started.set_result(loop)
            loop.run_forever()

    thread = threading.Thread(target=serve, name="streamer", daemon=True)
    thread.start()
    loop = started.result()

    def call(work: Coroutine[Any, Any, Any]) -> Any:
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    try:
        yield call
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def refuse_loop(here: str, there: str) -> None:
    """Inside a loop the script would wait for itself."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise StreamerError(f"{here} is for scripts; where a loop runs already, write: {there}.")
