"""A tree of bars on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from streamer.progress.snapshot import Snapshot, State

BAR = 20
CHILDREN = 8
"""How many children of one node are shown; those that run come first."""
COLOURS = {
    State.WAITING: "dim",
    State.RUNNING: "default",
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.TIMED_OUT: "yellow",
    State.CANCELLED: "magenta",
    State.SKIPPED: "dim",
}
SOONER = (State.RUNNING, State.FAILED, State.TIMED_OUT)


class Display:
    """Shows snapshots where there is a terminal; in the end, if it is ``transient``, nothing is left of them."""

    def __init__(self, console: Console | None = None, *, transient: bool = False) -> None:
        self.console = Console(stderr=True) if console is None else console
        self.live = Live(console=self.console, auto_refresh=False, transient=transient)

    @property
    def visible(self) -> bool:
        """Whether anybody would see it."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    def show(self, snapshot: Snapshot) -> None:
        """Show how far it is now."""
        self.live.update(table(snapshot), refresh=True)

    def __enter__(self) -> Self:
        if self.visible:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.visible:
            self.live.stop()


def table(snapshot: Snapshot) -> Table:
    """The tree, a line a node."""
    shown = Table.grid(padding=(0, 2))
    shown.add_column(no_wrap=True, overflow="ellipsis")
    shown.add_column(width=BAR)
    for least in (5, 4, 8):
        shown.add_column(justify="right", no_wrap=True, min_width=least)
    shown.add_column(no_wrap=True, overflow="ellipsis", style="dim")
    for line in rows(snapshot, ""):
        shown.add_row(*line)
    return shown


def rows(snapshot: Snapshot, indent: str) -> Iterator[list[RenderableType]]:
    """The lines of a node and of those below it."""
    colour = COLOURS[snapshot.state]
    name = f"{indent}[{colour}]{escape(snapshot.name)}[/]"
    yield [name, bar(snapshot), far(snapshot), taken(snapshot), left(snapshot), words(snapshot)]
    shown = chosen(snapshot.children)
    for child in shown:
        yield from rows(child, indent + "  ")
    if len(shown) < len(snapshot.children):
        rest = snapshot.counts
        rest.subtract(child.state for child in shown)
        said = ", ".join(f"{rest[state]:,} {state.replace('_', ' ')}" for state in State if rest[state])
        yield [f"{indent}  [dim]and {said}[/]"]


def chosen(children: Sequence[Snapshot]) -> list[Snapshot]:
    """Those to be shown where there are many, in their order."""
    if len(children) <= CHILDREN:
        return list(children)
    ranked = sorted(range(len(children)), key=lambda index: children[index].state not in SOONER)
    return [children[index] for index in sorted(ranked[: CHILDREN - 1])]


def bar(snapshot: Snapshot) -> RenderableType:
    if snapshot.state in (State.WAITING, State.SKIPPED):
        return ""
    colour = COLOURS[snapshot.state]
    return ProgressBar(
        total=1.0, completed=snapshot.fraction, width=BAR, complete_style=colour, finished_style=colour
    )


def far(snapshot: Snapshot) -> str:
    """The share that is over; of what nobody knows the end of, how many are."""
    if snapshot.state in (State.WAITING, State.SKIPPED):
        return ""
    if snapshot.total is None and not snapshot.fraction:
        return f"{snapshot.done:,.0f}" if snapshot.done else "0 %" if snapshot.children else ""
    return f"{int(snapshot.fraction * 100)} %"


def taken(snapshot: Snapshot) -> str:
    """How long it took so far."""
    return "" if snapshot.state in (State.WAITING, State.SKIPPED) else clock(snapshot.elapsed)


def left(snapshot: Snapshot) -> str:
    """How much longer, while it runs."""
    if snapshot.state is not State.RUNNING or snapshot.eta is None:
        return ""
    return f"eta {clock(snapshot.eta)}"


def words(snapshot: Snapshot) -> str:
    said = snapshot.state.replace("_", " ") if snapshot.over or snapshot.state is State.WAITING else ""
    if said == State.SUCCEEDED:
        said = ""
    return escape(": ".join(part for part in (said, snapshot.message) if part))


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are some."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
