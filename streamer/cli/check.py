"""``streamer check``: says what is wrong with a module or with a file of tasks, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import Servers

WRONG = 2
TASKS = (".json", ".jsonl", ".ndjson")


def check(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODULE|FILE",
            show_default=False,
            help="A topology module, or a .json or .jsonl file of tasks.",
        ),
    ],
    module: Annotated[
        str | None,
        typer.Option(
            "--module",
            metavar="MODULE[:ATTRIBUTE]",
            show_default=False,
            help="Judge the tasks as this topology would: its functions, its task type.",
        ),
    ] = None,
    bootstrap_servers: Servers = None,
) -> None:
    """Say what a topology module holds and how it is set, or judge a file of tasks line by line."""
    path = Path(what)
    if path.suffix in TASKS or (path.is_file() and path.suffix not in (".py", "")):
        from streamer.cli.judging import judge

        raise typer.Exit(WRONG if judge(path, module) else 0)
    from streamer.cli.describing import describe
    from streamer.cli.loading import load
    from streamer.cli.planning import plan
    from streamer.settings import misspelt

    for sentence in misspelt():
        typer.echo(f"streamer: {sentence}", err=True)
    describe(plan(load(what), {"bootstrap_servers": bootstrap_servers}))
