"""``streamer consume``: a topic's values as JSON Lines."""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.cli import logs
from streamer.cli.options import ClaimCheck, Servers, Verbose


def consume(
    topic: Annotated[
        str, typer.Argument(metavar="TOPIC", show_default=False, help="The output of a topology.")
    ],
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, show_default=False, help="End after so many records."),
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Also print what is there already.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0.0,
            show_default=False,
            help="End when nothing came for so long; with 1 if that is before --count.",
        ),
    ] = None,
    claim_check: ClaimCheck = None,
    bootstrap_servers: Servers = None,
    verbose: Verbose = False,
) -> None:
    """Print a topic's values, one line of JSON each, until interrupted.

    Reads what is committed, belongs to no group and leaves no trace. MessagePack is printed as JSON, and what is
    neither as a JSON string. With --claim-check, values that were put there are printed whole.
    """
    import asyncio

    from streamer.cli.planning import claims, reach
    from streamer.cli.reading import read

    logs.begin(verbose)
    store, _ = claims(claim_check)
    reading = read(reach(bootstrap_servers), topic, count, from_beginning, timeout, store)
    raise typer.Exit(asyncio.run(reading))
