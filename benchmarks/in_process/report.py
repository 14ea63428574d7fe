"""What the rows say, in markdown: medians over the rounds, and in brackets the range."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from benchmarks.in_process import waiting
from benchmarks.in_process.arms import ARMS
from benchmarks.in_process.measuring import Row
from benchmarks.in_process.waiting import Waited
from benchmarks.in_process.works import ECHO, WORKS

PACKAGES = ("streamer", "reactivex", "msgspec", "reliable-ai-streams-py", "dataknobs-llm")


def environment() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "cores": len(os.sched_getaffinity(0)),
        "packages": {name: version(name) for name in PACKAGES},
        "event_loop": "asyncio",
    }


def version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def spread(numbers: Iterable[float], form: str) -> str:
    found = list(numbers)
    return f"{median(found):{form}} ({min(found):{form}} to {max(found):{form}})" if found else ""


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *lines))


def costs(rows: list[Row]) -> str:
    """What a task costs."""
    lines = []
    for name, arm in ARMS.items():
        for work in (*WORKS, ECHO):
            mine = [row for row in rows if (row.arm, row.work) == (name, work)]
            if mine:
                micros = spread((row.micros for row in mine), ".2f")
                memory = spread((row.peak_traced / 1e6 for row in mine), ".2f")
                lines.append((work, arm.who, arm.what, micros, memory))
    order = [*WORKS, ECHO]
    lines.sort(key=lambda line: order.index(line[0]))
    return table(("work", "who", "what", "µs per task", "peak memory, MB"), lines)


def waits(rows: list[Waited]) -> str:
    """What waiting costs."""
    lines = []
    for limit, (seconds, calls) in waiting.LOADS.items():
        for name, (what, _) in waiting.ARMS.items():
            mine = [row for row in rows if (row.arm, row.in_flight) == (name, limit)]
            if mine:
                at_90 = spread((row.at_90 for row in mine), ".4f")
                at_100 = spread((row.at_100 for row in mine), ".4f")
                cpu = spread((row.cpu_seconds / row.elapsed for row in mine), ".2f")
                lines.append((f"{limit:,}", f"{seconds:g} s", f"{calls:,}", what, at_90, at_100, cpu))
    return table(("in flight", "median", "calls", "who", "over ideal, 90 %", "100 %", "CPU"), lines)
