"""The demo's live progress: a table that moves in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streamer.cli.demo.counts import Counts
from streamer.results import Status

WIDEST = 100
COLOURS = {Status.SUCCEEDED: "green", Status.FAILED: "red", Status.TIMED_OUT: "yellow"}
PLAIN_EVERY = 1.0
FRAMES = 12


class Screen:
    """Where the demo shows itself."""

    def __init__(self) -> None:
        terminal = sys.stdout.isatty()
        self.console = Console(highlight=False, width=None if terminal else WIDEST)
        self.live: Live | None = None
        self.said = 0.0

    @property
    def width(self) -> int:
        return min(WIDEST, self.console.width)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live = Live(console=self.console, refresh_per_second=FRAMES, transient=True)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def say(self, sentence: str) -> None:
        """A line that stays."""
        self.console.print(sentence)

    def waiting(self, sentence: str) -> None:
        """What is waited for, until something else is shown."""
        if self.live is not None:
            self.live.update(Text(sentence, style="dim"))
        else:
            self.say(sentence)

    def progress(self, counts: Counts, seconds: float) -> None:
        """Where we are."""
        if self.live is not None:
            self.live.update(self.moving(counts, seconds))
        elif time.monotonic() - self.said >= PLAIN_EVERY:
            self.said = time.monotonic()
            self.say(f"{seconds:4.1f} s: {done(counts)} of {counts.total} answered, {line(counts)}")

    def moving(self, counts: Counts, seconds: float) -> Group:
        """The whole as one bar, and a bar for each kind."""
        room = self.width - 36
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(width=10)
        table.add_column(width=room)
        table.add_column(justify="right")
        table.add_row(
            "[bold]all[/bold]",
            ProgressBar(counts.total, done(counts), width=room, complete_style="cyan", finished_style="cyan"),
            f"{done(counts)}/{counts.total}",
        )
        for kind, planned in sorted(counts.planned.items()):
            statuses = counts.kinds.get(kind, Counter())
            table.add_row(kind, stacked(statuses, planned, room), f"{sum(statuses.values())}/{planned}")
        rate = done(counts) / seconds if seconds > 0 else 0.0
        return Group(table, Text(f"{seconds:4.1f} s   {rate:3.0f} per second   {line(counts)}", style="dim"))


def stacked(statuses: Mapping[Status, int], planned: int, room: int) -> Text:
    """One bar, a colour for each status."""
    bar = Text()
    counted = 0
    for status in Status:
        counted += statuses.get(status, 0)
        bar.append("━" * (room * counted // planned - len(bar)), style=COLOURS.get(status, "magenta"))
    return bar.append("━" * (room - len(bar)), style="bar.back")


def done(counts: Counts) -> int:
    return counts.answered + counts.dead


def line(counts: Counts) -> str:
    """The other numbers."""
    return (
        f"{counts.calling} calls under way, {counts.retries} retries, {counts.of_status(Status.FAILED)} failed, "
        f"{counts.of_status(Status.TIMED_OUT)} timed out"
    )
