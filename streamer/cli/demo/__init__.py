"""``streamer demo``: the whole line in one process, with nothing to set up."""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.cli import logs


def demo(
    tasks: Annotated[
        int, typer.Option("--tasks", metavar="N", min=20, max=5_000, help="How many tasks to answer.")
    ] = 480,
) -> None:
    """Answer a few hundred sample tasks over a broker of its own: no Kafka, no key, about ten seconds."""
    import asyncio

    from streamer.cli.demo.play import play
    from streamer.cli.demo.screen import Screen
    from streamer.cli.demo.summary import show
    from streamer.kafka.embedded import EmbeddedBroker

    logs.begin(verbose=False)
    screen = Screen()
    with EmbeddedBroker() as broker:
        played = asyncio.run(play(broker.bootstrap_servers, tasks, screen))
    show(played, screen.console)
