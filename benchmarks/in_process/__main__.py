"""``python -m benchmarks.in_process``: see benchmarks/README.md."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.in_process import report, waiting
from benchmarks.in_process.arms import ARMS
from benchmarks.in_process.measuring import Row
from benchmarks.in_process.waiting import Waited

PEERS = {"l0": "l0", "dataknobs": "dataknobs_llm", "dataknobs_mixed": "dataknobs_llm"}
"""What has to be installed for an arm."""
PARTS = ("costs", "waits")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_process", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="only this one; repeatable")
    parser.add_argument(
        "--arm", action="append", choices=sorted({*ARMS, *waiting.ARMS}), help="only this one; repeatable"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of all arms (5)")
    parser.add_argument("--tasks", type=int, default=10_000, metavar="N", help="tasks per run (10,000)")
    parser.add_argument("--concurrency", type=int, default=100, metavar="N", help="tasks at once (100)")
    parser.add_argument(
        "--in-flight", action="append", type=int, choices=list(waiting.LOADS), help="of the waits; repeatable"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where all raw rows go, as JSON")
    return parser.parse_args()


def alone(module: str, *words: Any) -> bytes:
    """What a process of its own printed."""
    command = [sys.executable, "-m", f"benchmarks.in_process.{module}", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def turns(things: Sequence[Any], rounds: int) -> Iterator[tuple[int, Any]]:
    """All things in every round; each round begins with another one, so that no hour is anybody's."""
    for number in range(rounds):
        turn = number % len(things)
        yield from ((number, thing) for thing in (*things[turn:], *things[:turn]))


def costs(said: argparse.Namespace) -> list[Row]:
    wanted = [(name, work) for name in said.arm or ARMS if name in ARMS for work in ARMS[name].works]
    missing = {
        PEERS[name] for name, _ in wanted if name in PEERS and not importlib.util.find_spec(PEERS[name])
    }
    if missing:
        raise SystemExit(
            f"{' and '.join(sorted(missing))} not installed: pip install -e '.[benchmarks]', or choose with --arm."
        )
    rows = []
    for number, (name, work) in turns(wanted, said.rounds):
        row = msgspec.json.decode(alone("measuring", name, work, said.tasks, said.concurrency), type=Row)
        row.round = number
        rows.append(row)
        print(
            f"{number + 1}/{said.rounds} {name:16} {work:9} {row.micros:7.2f} µs of CPU, {row.wall_micros:7.2f} µs; "
            f"{row.peak_traced / 1e6:6.2f} MB",
            flush=True,
        )
    return rows


def waits(said: argparse.Namespace) -> list[Waited]:
    loads = [(limit, *waiting.LOADS[limit]) for limit in said.in_flight or waiting.LOADS]
    names = [name for name in said.arm or waiting.ARMS if name in waiting.ARMS]
    rows = []
    for number, (name, load) in turns([(name, load) for load in loads for name in names], said.rounds):
        row = msgspec.json.decode(alone("waiting", name, *load), type=Waited)
        row.round = number
        rows.append(row)
        print(
            f"{number + 1}/{said.rounds} {name:16} {load[0]:6} in flight: {row.at_90:.4f} over ideal at 90 %, "
            f"{row.at_100:.4f} at the end; {row.elapsed:.1f} s, {row.cpu_seconds:.1f} s of CPU",
            flush=True,
        )
    return rows


def main() -> None:
    said = arguments()
    parts = said.part or PARTS
    cost = costs(said) if "costs" in parts else []
    wait = waits(said) if "waits" in parts else []
    for rows, told in ((cost, report.costs), (wait, report.waits)):
        if rows:
            print("\n" + told(rows))
    if said.output is not None:
        written = {"environment": report.environment(), "costs": cost, "waits": wait}
        said.output.write_bytes(msgspec.json.format(msgspec.json.encode(written), indent=1))
        print(f"All raw rows are in {said.output}.")


if __name__ == "__main__":
    main()
