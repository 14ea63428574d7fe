"""How long calls take together, over how long they should: ``python -m benchmarks.in_process.waiting ARM IN_FLIGHT
MEDIAN CALLS``, a process of its own that prints a row as JSON.

The n-th call takes as long as the seed and n say, the same in all arms. Ideal is a perfect list scheduler on as many
machines as calls may be in flight: the same latencies in the same order, no cost.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.end_to_end.scenarios import ideal
from benchmarks.in_process.works import PROMPT
from streamer import Engine, llm, map
from streamer.providers import provider
from streamer.providers.protocol import Request
from streamer.providers.simulated import Simulated
from streamer.tasks import Message

SIGMA = 0.7
LOADS = {10: (0.3, 500), 100: (0.3, 5_000), 1_000: (0.3, 50_000), 10_000: (3.0, 50_000)}
"""Calls in flight: their median in seconds, and how many there are."""
Told = Callable[[Any], object]


class Waited(Struct, kw_only=True):
    """One process. ``over_ideal`` is of the time until 90 % of the calls had ended, and until all had."""

    arm: str
    in_flight: int
    median: float
    calls: int
    at_90: float
    at_100: float
    elapsed: float
    cpu_seconds: float
    load_before: float
    round: int = 0


async def gathered(model: str, calls: int, limit: int, told: Told) -> None:
    semaphore = asyncio.Semaphore(limit)
    request = Request(messages=(Message(role="user", content=PROMPT),))
    answer = Simulated.parse(model.partition(":")[2]).answer

    async def one() -> None:
        async with semaphore:
            told(await answer(request))

    await asyncio.gather(*[one() for _ in range(calls)])


async def mapped(model: str, calls: int, limit: int, told: Told) -> None:
    ask = provider(model)

    async def one(_: int) -> None:
        told(await ask(PROMPT))

    def items() -> Iterator[int]:
        yield from range(calls)

    await map(one, items(), concurrency=limit, reduce="count")


async def answered(model: str, calls: int, limit: int, told: Told) -> None:
    end = asyncio.get_running_loop().create_future()
    tasks = (llm(PROMPT, model=model) for _ in range(calls))
    Engine().answers(tasks, concurrency=limit).subscribe(
        told, end.set_exception, lambda: end.set_result(None)
    )
    await end


ARMS: dict[str, tuple[str, Callable[[str, int, int, Told], Awaitable[None]]]] = {
    "gather": ("asyncio, `Semaphore` and `gather`", gathered),
    "map": ("Streamer, `map` over a generator", mapped),
    "answers": ("Streamer, `Engine.answers`", answered),
}


async def measure(arm: str, limit: int, median: float, calls: int) -> Waited:
    load = os.getloadavg()[0]
    settings = f"latency=lognormal({median},{SIGMA})&seed=7"
    best = ideal(Simulated.parse(f"x?{settings}").latencies(calls), limit)
    ends: list[float] = []
    cpu, began = time.process_time(), time.perf_counter()
    await ARMS[arm][1](f"simulated:x?{settings}", calls, limit, lambda _: ends.append(time.perf_counter()))
    cpu = time.process_time() - cpu
    assert len(ends) == calls
    over = [(ends[at] - began) / best[at] for at in (-(-calls * 9 // 10) - 1, calls - 1)]
    return Waited(
        arm=arm,
        in_flight=limit,
        median=median,
        calls=calls,
        at_90=over[0],
        at_100=over[1],
        elapsed=ends[-1] - began,
        cpu_seconds=cpu,
        load_before=load,
    )


if __name__ == "__main__":
    arm, limit, median, calls = sys.argv[1:]
    row = asyncio.run(measure(arm, int(limit), float(median), int(calls)))
    print(msgspec.json.encode(row).decode())
