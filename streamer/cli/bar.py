"""How far a batch is, for whoever sits before the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer.cli.lines import STDIN
from streamer.progress import Node

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

    from streamer.progress.display import Display

    total = None if file == STDIN else Path(file).stat().st_size
    node = Node("standard input" if total is None else Path(file).name, total=total)
    node.start()
    with Display(Console(stderr=True), transient=True) as display:

        def show(size: int, words: str) -> None:
            node.done, node.message = 0 if total is None else size, words
            display.show(node.snapshot())

        yield show
