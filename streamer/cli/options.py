"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Module = Annotated[
    str,
    typer.Argument(
        metavar="MODULE[:ATTRIBUTE]",
        help="A module that can be imported from here, or the path of one: topologies/tasks.py.",
        show_default=False,
    ),
]
Servers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        metavar="HOST:PORT,…",
        help="Where Kafka is; by default localhost:9092.",
        show_default=False,
    ),
]
NoCreate = Annotated[
    bool,
    typer.Option(
        "--no-create",
        envvar="STREAMER_NO_CREATE",
        show_envvar=False,
        help="Refuse missing topics, don't make them.",
    ),
]
ClaimCheck = Annotated[
    str | None,
    typer.Option(
        "--claim-check",
        metavar="DIRECTORY|URL",
        show_default=False,
        help="Where values are that are too large for the broker; also STREAMER_CLAIM_CHECK.",
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", help="Also log what the Kafka client says, and tracebacks.")
]
