"""``streamer batch``: answers a file of tasks, without Kafka."""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.cli import logs
from streamer.cli.options import Module, Verbose


def batch(
    module: Module,
    input_file: Annotated[
        str,
        typer.Option(
            "--input",
            metavar="FILE",
            show_default=False,
            help="JSON Lines, a task each; - is standard input.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output", metavar="FILE", show_default=False, help="Where results go; - is standard output."
        ),
    ],
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", metavar="N", help="Tasks that run at once.")
    ] = None,
    drain_timeout: Annotated[
        float | None,
        typer.Option(
            "--drain-timeout", metavar="SECONDS", help="How long a stop waits for what runs; by default 30."
        ),
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Answer the tasks of a file by a module's topology, without Kafka, and write a result for each.

    Results come as they are ready; one without an id is named after its line, line-17. Run again after a stop or a
    crash it goes on where it was: OUTPUT.progress says which lines are answered. Lines that are no tasks go to
    OUTPUT.dead-letters.jsonl. Ctrl-C or SIGTERM begins no more and finishes what runs. Ends with 1 if any task
    did not succeed.
    """
    import asyncio

    from streamer.cli.batching import answer_file
    from streamer.cli.judging import the_topology
    from streamer.settings import resolve

    logs.begin(verbose)
    topology = the_topology(module)
    flags = {"concurrency": concurrency, "drain_timeout": drain_timeout}
    settings = resolve(flags, topology.settings).settings
    raise typer.Exit(asyncio.run(answer_file(topology, settings, input_file, output)))
