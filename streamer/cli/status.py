"""``streamer status``: why a partition does not move, in one call."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli import logs
from streamer.cli.options import Servers, Verbose
from streamer.errors import SettingsError

if TYPE_CHECKING:
    from streamer.kafka.connection import Connection
    from streamer.kafka.groups import Group


def status(
    module: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE[:ATTRIBUTE]]",
            show_default=False,
            help="The module that the workers run; or name their group or topic.",
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", show_default=False, help="The consumer group.")
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option(
            "--topic",
            metavar="TOPIC",
            show_default=False,
            help="The input; alone, it also names the group, as it does by default.",
        ),
    ] = None,
    bootstrap_servers: Servers = None,
    as_json: Annotated[bool, typer.Option("--json", help="All that is known, as one JSON object.")] = False,
    verbose: Verbose = False,
) -> None:
    """Say how far each partition is, who has it, and why it does not move."""
    import asyncio

    from streamer.cli.status_screen import as_data, show

    logs.begin(verbose)
    connection, wanted = targets(module, group, topic, bootstrap_servers)
    groups = asyncio.run(gather(connection, wanted))
    if as_json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(as_data(groups))) + b"\n")
    else:
        show(groups)


def targets(
    module: str | None, group: str | None, topic: str | None, servers: str | None
) -> tuple[Connection, list[tuple[str, list[str]]]]:
    """Where to look: groups, each with its topics."""
    from streamer.cli.loading import load
    from streamer.cli.planning import plan, reach

    if module is not None:
        flags = {"bootstrap_servers": servers, "group": group, "input": topic}
        plans = plan(load(module), flags)
        return plans[0].connection, [(each.group, [each.input]) for each in plans]
    name = group or topic
    if name is None:
        raise SettingsError(
            "status needs to know whose: streamer status MODULE, or --group NAME, or --topic TOPIC."
        )
    return reach(servers), [(name, [topic] if topic is not None else [])]


async def gather(connection: Connection, wanted: list[tuple[str, list[str]]]) -> list[Group]:
    from streamer.kafka.groups import look

    return [await look(connection, group, topics) for group, topics in wanted]
