"""One arm and one work in a process of its own: ``python -m benchmarks.in_process.measuring ARM WORK COUNT LIMIT``.

It runs once to warm up, then three times on the clock and once under tracemalloc, and prints a row as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
import tracemalloc
from statistics import median

import msgspec
from msgspec import Struct

from benchmarks.in_process.arms import ARMS, Begin
from benchmarks.in_process.works import WORKS

TIMES = 3


class Row(Struct, kw_only=True):
    """One process. ``micros`` are CPU microseconds per task, ``wall_micros`` those on the wall; memory is bytes."""

    arm: str
    work: str
    count: int
    limit: int
    micros: float
    wall_micros: float
    peak_traced: int
    """The most that was allocated while it ran, beside what was there before: its tasks, for one."""
    load_before: float
    round: int = 0


async def clocked(begin: Begin) -> tuple[float, float]:
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await begin()
    return time.process_time() - cpu, time.perf_counter() - wall


async def traced(begin: Begin) -> int:
    gc.collect()
    tracemalloc.start()
    await begin()
    return tracemalloc.get_traced_memory()[1]


def measure(arm: str, work: str, count: int, limit: int) -> Row:
    load = os.getloadavg()[0]
    begin = ARMS[arm].build(WORKS.get(work), count, limit)
    asyncio.run(clocked(begin))
    times = [asyncio.run(clocked(begin)) for _ in range(TIMES)]
    return Row(
        arm=arm,
        work=work,
        count=count,
        limit=limit,
        micros=median(cpu for cpu, _ in times) / count * 1e6,
        wall_micros=median(wall for _, wall in times) / count * 1e6,
        peak_traced=asyncio.run(traced(begin)),
        load_before=load,
    )


if __name__ == "__main__":
    arm, work, count, limit = sys.argv[1:]
    print(msgspec.json.encode(measure(arm, work, int(count), int(limit))).decode())
