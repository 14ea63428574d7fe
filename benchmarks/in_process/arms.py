"""Who runs the tasks, and how: each arm builds its tasks first, and gives what is to be awaited and measured."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from benchmarks.in_process.works import ECHO, PROMPT, WORKS

Begin = Callable[[], Awaitable[Any]]
Build = Callable[[Any, int, int], Begin]
FUNCTIONS = tuple(WORKS)


class Arm(NamedTuple):
    """``build`` is given the function (none for model calls), how many tasks, and how many at once."""

    who: str
    what: str
    works: tuple[str, ...]
    build: Build


def gathered(function: Any, count: int, limit: int) -> Begin:
    async def run() -> list[Any]:
        semaphore = asyncio.Semaphore(limit)

        async def one() -> Any:
            async with semaphore:
                return await function()

        return await asyncio.gather(*[one() for _ in range(count)])

    return run


def by_hand(function: Any, count: int, limit: int) -> Begin:
    async def run() -> None:
        items = iter(range(count))

        async def work() -> None:
            for _ in items:
                await function()

        await asyncio.gather(*[work() for _ in range(limit)])

    return run


def l0(function: Any, count: int, limit: int) -> Begin:
    from l0 import Parallel

    tasks = [function] * count
    return lambda: Parallel.run(tasks, concurrency=limit)


def executor(limit: int) -> Any:
    from dataknobs_llm import ParallelLLMExecutor
    from dataknobs_llm.llm.providers.echo import EchoProvider

    logging.getLogger("dataknobs_llm").setLevel(logging.ERROR)
    return ParallelLLMExecutor(EchoProvider({"provider": "echo", "model": "echo"}), max_concurrency=limit)


def dataknobs_mixed(function: Any, count: int, limit: int) -> Begin:
    from dataknobs_llm.execution.parallel import DeterministicTask

    mixed = executor(limit).execute_mixed
    tasks = {str(number): DeterministicTask(fn=function) for number in range(count)}
    return lambda: mixed(tasks)


def dataknobs(_: Any, count: int, limit: int) -> Begin:
    from dataknobs_llm import LLMMessage
    from dataknobs_llm.execution.parallel import LLMTask

    execute = executor(limit).execute
    tasks = {
        str(number): LLMTask(messages=[LLMMessage(role="user", content=PROMPT)]) for number in range(count)
    }
    return lambda: execute(tasks)


def mapped(function: Any, count: int, limit: int) -> Begin:
    from streamer import map

    def items() -> Iterator[int]:
        yield from range(count)

    return lambda: map(lambda _: function(), items(), concurrency=limit)


def mapped_list(function: Any, count: int, limit: int) -> Begin:
    from streamer import map

    items = list(range(count))
    return lambda: map(lambda _: function(), items, concurrency=limit)


def paralleled(function: Any, count: int, limit: int) -> Begin:
    from streamer import parallel

    tasks = [function] * count
    return lambda: parallel(*tasks, concurrency=limit)


def streamed(function: Any, count: int, limit: int) -> Begin:
    from streamer import concurrent_map

    return lambda: ended(concurrent_map(lambda _: function(), limit)(range(count)))


def asked(_: Any, count: int, limit: int) -> Begin:
    from streamer import llm

    task = llm(PROMPT, model="echo:")
    return mapped(lambda: task, count, limit)


def answered(_: Any, count: int, limit: int) -> Begin:
    from streamer import Engine, llm

    tasks = [llm(PROMPT, model="echo:") for _ in range(count)]
    return lambda: ended(Engine().answers(tasks, concurrency=limit))


async def ended(stream: Any) -> None:
    """Until it completes."""
    end = asyncio.get_running_loop().create_future()
    stream.subscribe(on_error=end.set_exception, on_completed=lambda: end.set_result(None))
    await end


ARMS = {
    "gather": Arm("asyncio", "`Semaphore` and `gather`", FUNCTIONS, gathered),
    "by_hand": Arm("asyncio", "as many loops as run at once, over one iterator", FUNCTIONS, by_hand),
    "l0": Arm("L0", "`Parallel.run`", FUNCTIONS, l0),
    "dataknobs_mixed": Arm("dataknobs", "`execute_mixed`", FUNCTIONS, dataknobs_mixed),
    "dataknobs": Arm("dataknobs", "`execute`, `EchoProvider`", (ECHO,), dataknobs),
    "map": Arm("Streamer", "`map` over a generator", FUNCTIONS, mapped),
    "map_list": Arm("Streamer", "`map` over a list", FUNCTIONS, mapped_list),
    "parallel": Arm("Streamer", "`parallel`", FUNCTIONS, paralleled),
    "concurrent_map": Arm("Streamer", "`concurrent_map`", FUNCTIONS, streamed),
    "map_llm": Arm("Streamer", "`map` of `echo:` calls over a generator", (ECHO,), asked),
    "answers": Arm("Streamer", "`Engine.answers` of `echo:` tasks", (ECHO,), answered),
}
