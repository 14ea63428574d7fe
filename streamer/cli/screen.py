"""How tables look: in a terminal, and in a pipe, where nothing is cut to a width that nobody has."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 1_000


def console(*, stderr: bool = False) -> Console:
    """A console on standard output, as wide as the terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PIPE_WIDTH, highlight=False)


def table(*columns: str, title: str | None = None, numbers: tuple[str, ...] = ()) -> Table:
    """A table without lines; the columns that ``numbers`` names are right-aligned."""
    made = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), title=title, title_justify="left", title_style="bold"
    )
    made.header_style = "dim"
    for name in columns:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return made
