"""How far a batch is, for whoever sits before the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer.cli.lines import STDIN

EVERY = 0.25


@contextmanager
def bar(file: str, output: str) -> Iterator[Callable[[int, str], object] | None]:
    """What shows how many bytes of the file are done, and a few words; None where there is nobody to see it.

    That is, unless standard error is a terminal to which no results are printed.
    """
    if not sys.stderr.isatty() or (output == STDIN and sys.stdout.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        BarColumn(30),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None if file == STDIN else Path(file).stat().st_size)
        yield lambda size, words: shown.update(task, completed=size, description=words)
