"""What the rows say: per peer minimum, median and maximum over the runs, and ratios within each round."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any

import msgspec

from benchmarks.end_to_end.measuring import Row
from benchmarks.end_to_end.peers import PEERS
from benchmarks.end_to_end.scenarios import SCENARIOS

PACKAGES = ("streamer", "aiokafka", "msgspec", "reactivex", "faststream")
COLUMNS: dict[str, tuple[Callable[[Row], float | None], str]] = {
    "messages per CPU second": (lambda row: row.messages_per_cpu_second, ",.0f"),
    "messages per second": (lambda row: row.messages_per_second, ",.0f"),
    "elapsed over ideal, 90 %": (lambda row: row.over_ideal_at_90, ".3f"),
    "100 %": (lambda row: row.over_ideal_at_100, ".3f"),
    "peak memory, MB": (lambda row: row.peak_memory / 1e6, ",.0f"),
}
ENOUGH = 0.2
"""CPU seconds below which a run says nothing: progress is looked at every 20 ms."""
ABSENT = "(absent)"
NAMES = {"hand_written": "written by hand", "fast_stream": "FastStream", "streamer": "Streamer"}


def environment(broker: str, broker_version: str) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "cores": len(os.sched_getaffinity(0)),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "event_loop": "asyncio",
        "broker": broker,
        "broker_version": broker_version,
    }


def spread(numbers: Iterable[float | None], form: str) -> str:
    """Median, and in brackets the range."""
    found = [number for number in numbers if number is not None]
    if not found:
        return ""
    return f"{median(found):{form}} ({min(found):{form}} to {max(found):{form}})"


def ratios(rows: list[Row], over: str, value: Callable[[Row], float]) -> list[float]:
    """Streamer's over another peer's, in each round that both finished."""
    mine = {row.round: value(row) for row in rows if row.peer == "streamer" and row.ended == "done"}
    other = {row.round: value(row) for row in rows if row.peer == over and row.ended == "done"}
    return [mine[number] / other[number] for number in sorted(mine.keys() & other.keys()) if other[number]]


def best(rows: list[Row], peer: str) -> float:
    """Most messages per CPU second: neighbours on the machine only ever take some away."""
    return max(row.messages_per_cpu_second for row in rows if row.peer == peer and row.ended == "done")


def summary(rows: list[Row]) -> dict[str, Any]:
    """The same as numbers, for the JSON."""

    def three(numbers: Iterable[float | None]) -> dict[str, float] | None:
        found = [number for number in numbers if number is not None]
        return {"min": min(found), "median": median(found), "max": max(found)} if found else None

    found: dict[str, Any] = {}
    for scenario in dict.fromkeys(row.scenario for row in rows):
        mine = [row for row in rows if row.scenario == scenario]
        peers = {
            peer: {
                column: three(value(row) for row in mine if row.peer == peer)
                for column, (value, _) in COLUMNS.items()
            }
            for peer in PEERS
            if any(row.peer == peer for row in mine)
        }
        over = {
            peer: three(ratios(mine, peer, lambda row: row.messages_per_cpu_second))
            for peer in PEERS[:-1]
            if peer in peers
        }
        over_best = {
            peer: best(mine, "streamer") / best(mine, peer) for peer, spread in over.items() if spread
        }
        found[scenario] = {
            "peers": peers,
            "streamer_over_per_cpu_second": over,
            "best_streamer_over_best_per_cpu_second": over_best,
        }
    return found


def tables(rows: list[Row]) -> str:
    """Markdown, readable as it is."""
    lines = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        mine = [row for row in rows if row.scenario == scenario]
        runs = len({row.round for row in mine})
        lines.append(
            f"**{scenario}**: {SCENARIOS[scenario].what}. {mine[0].messages:,} messages, {runs} runs; "
            "median (range)\n"
        )
        columns = [
            name for name, (value, _) in COLUMNS.items() if any(value(row) is not None for row in mine)
        ]
        lines.append("| | " + " | ".join(columns) + " |")
        lines.append("|---|" + "---|" * len(columns))
        for peer in PEERS:
            runs_of_it = [row for row in mine if row.peer == peer]
            if runs_of_it:
                cells = (
                    spread((COLUMNS[name][0](row) for row in runs_of_it), COLUMNS[name][1])
                    for name in columns
                )
                lines.append(f"| {NAMES[peer]} | " + " | ".join(cells) + " |")
        lines.append("")
        for peer in PEERS[:-1]:
            per_cpu = ratios(mine, peer, lambda row: row.messages_per_cpu_second)
            per_second = ratios(mine, peer, lambda row: row.messages_per_second)
            if per_cpu:
                lines.append(
                    f"Streamer over {NAMES[peer]}, pairwise per round: {spread(per_cpu, '.2f')} per CPU second, "
                    f"{spread(per_second, '.2f')} per second; best run over best run: "
                    f"{best(mine, 'streamer') / best(mine, peer):.2f} per CPU second.\n"
                )
        lines += [*complaints(mine), ""]
    return "\n".join(lines)


def complaints(rows: list[Row]) -> list[str]:
    """What was not as it should be; one line each."""
    lines = []
    for row in rows:
        wrong = {
            name: getattr(row, name)
            for name in (
                "missing",
                "duplicates",
                "unexpected",
                "not_succeeded",
                "wrong_value",
                "wrong_key_or_headers",
            )
            if getattr(row, name)
        }
        if row.uncommitted:
            wrong["uncommitted"] = row.uncommitted
        if wrong:
            said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in wrong.items())
            lines.append(f"! {NAMES[row.peer]}, run {row.round + 1}: {said}.")
        if row.ended != "done":
            lines.append(f"! {NAMES[row.peer]}, run {row.round + 1}: {row.ended}")
    if any(row.cpu_seconds < ENOUGH for row in rows if row.ended == "done"):
        lines.append(
            f"! Less than {ENOUGH:g} CPU seconds were measured in some runs: more --messages, please."
        )
    examples = {row.peer: msgspec.json.decode(row.example) for row in rows if row.example}
    for peer in examples:
        for place, one, other in differences(examples[next(iter(examples))], examples[peer]):
            lines.append(
                f"! The results of {NAMES[next(iter(examples))]} and {NAMES[peer]} differ at {place}: {one}, {other}."
            )
    return lines or ["Every id once, all succeeded, the results of all peers alike but for their times."]


def differences(one: Any, other: Any, place: str = "$") -> Iterator[tuple[str, str, str]]:
    """Where two JSON values differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*one, *other)):
            yield from differences(one.get(name, ABSENT), other.get(name, ABSENT), f"{place}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{place}[{index}]")
    elif one != other:
        yield place, repr(one)[:80], repr(other)[:80]
