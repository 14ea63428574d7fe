"""What the demo ends with: numbers, the dead letter, and what to type next."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamer.cli.demo.counts import Counts, Series
from streamer.cli.demo.play import Played
from streamer.cli.demo.screen import COLOURS
from streamer.cli.demo.topology import CONCURRENCY
from streamer.cli.screen import table
from streamer.results import Status
from streamer.telemetry.totals import percentile

SHARES = (0.5, 0.9, 0.99)
COMMON = (Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED)


def show(played: Played, console: Console) -> None:
    """Print all of it."""
    counts = played.counts
    rate = counts.total / played.seconds
    statuses = ", ".join(
        f"[{COLOURS.get(status, 'default')}]{counts.of_status(status)} {status.replace('_', ' ')}[/]"
        for status in Status
        if counts.of_status(status)
    )
    console.print(
        f"\n[bold]{counts.total} tasks in {played.seconds:.1f} s[/bold]: {rate:.0f} per second, "
        f"{CONCURRENCY} at once, {counts.retries} retries.\n{statuses}, {counts.dead} dead letter.\n"
    )
    console.print(kinds(counts))
    console.print()
    console.print(providers(counts, tokens=console.width >= 90))
    letter = played.dead_letter
    console.print(f"\n[bold]The dead letter[/bold], in topic {letter.topic}: [red]{letter.reason}[/red]")
    console.print(f"  {escape(letter.sentence)}", soft_wrap=True)
    console.print(f"  [dim]{escape(letter.value)}[/dim]\n", overflow="ellipsis", no_wrap=True)
    following(console)


def kinds(counts: Counts) -> Table:
    """Results by kind and status, and how long they took."""
    shown = table("task", "results", "ok", "failed", "timed out", "p50", "p90", "p99", numbers=NUMBERS)
    for kind, statuses in sorted(counts.kinds.items()):
        total = sum(statuses.values())
        shown.add_row(
            kind, str(total), *map(number, of(statuses, COMMON[:3])), *times(counts.durations[kind])
        )
    every = [duration for series in counts.durations.values() for duration in series]
    totals = [str(counts.of_status(status)) for status in COMMON[:3]]
    shown.add_row("all", str(counts.answered), *totals, *times(every), style="bold")
    return shown


def providers(counts: Counts, *, tokens: bool) -> Table:
    """Calls by provider and outcome; how long those took that succeeded. Tokens, where there is room."""
    columns = ("provider", "calls", "ok", "failed", "timed out", "cancelled", "p50", "p90", "tokens")
    shown = table(*columns[: len(columns) if tokens else -1], numbers=NUMBERS)
    for name, calls in sorted(counts.providers.items()):
        shown.add_row(
            name.removesuffix(":"),
            str(sum(calls.outcomes.values())),
            *map(number, of(calls.outcomes, COMMON)),
            *times(calls.durations)[:2],
            *([number(calls.tokens)] if tokens else []),
        )
    return shown


NUMBERS = ("results", "calls", "ok", "failed", "timed out", "cancelled", "p50", "p90", "p99", "tokens")


def of(statuses: dict[Status, int], wanted: tuple[Status, ...]) -> list[int]:
    return [statuses.get(status, 0) for status in wanted]


def number(value: int) -> str:
    return f"{value:,}" if value else "[dim]-[/dim]"


def times(series: Series) -> list[str]:
    """The percentiles of seconds, as text."""
    found = [percentile(series, share) for share in SHARES]
    return ["[dim]-[/dim]" if value is None else seconds(value) for value in found]


def seconds(value: float) -> str:
    if value < 0.001:
        return "< 1 ms"
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.1f} s"


def following(console: Console) -> None:
    """What to type next, as it can be pasted."""
    name = command()
    module = "topologies/tasks.py" if Path("topologies/tasks.py").exists() else "topologies.tasks"
    task = '{"kind": "llm", "model": "echo:", "prompt": "Hello"}'
    steps = (
        ("Start a Kafka broker, if there is none:", "docker run -d -p 9092:9092 apache/kafka:4.1.0"),
        ("Run a topology on it:", f"{name} run {module}"),
        ("Send it a task, from another terminal:", f"echo '{task}' |\n      {name} produce tasks -"),
        ("Read the result:", f"{name} consume results --from-beginning --count 1"),
    )
    console.print("[bold]Next[/bold]")
    for what, typed in steps:
        console.print(f"  {what}")
        console.print(f"    [cyan]{escape(typed)}[/cyan]", soft_wrap=True)


def command() -> str:
    """How to call this program here."""
    called = Path(sys.argv[0])
    found = shutil.which("streamer")
    if called.name != "streamer" or (found is not None and Path(found).resolve() == called.resolve()):
        return "streamer"
    try:
        return str(called.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(called)
