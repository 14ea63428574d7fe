"""``streamer topics``: which topics topologies need, and the making of those that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli import logs
from streamer.cli.options import Module, Servers, Verbose

if TYPE_CHECKING:
    from rich.table import Table

    from streamer.cli.planning import Plan


def topics(
    module: Module,
    bootstrap_servers: Servers = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show; make nothing.")] = False,
    verbose: Verbose = False,
) -> None:
    """Show the topics that a module's topologies need, and make the missing ones."""
    import asyncio

    from streamer.cli.loading import load
    from streamer.cli.planning import plan
    from streamer.cli.screen import console, table

    logs.begin(verbose)
    plans = plan(load(module), {"bootstrap_servers": bootstrap_servers})
    shown = table("TOPOLOGY", "ROLE", "TOPIC", "PARTITIONS", "", numbers=("PARTITIONS",))
    asyncio.run(fill(shown, plans, dry_run))
    console().print(shown)


async def fill(shown: Table, plans: list[Plan], dry_run: bool) -> None:
    """A row for each topic, made where it was missing."""
    from streamer.cli.serving import worker
    from streamer.kafka.topics import ensure, open_admin, partitions, planned

    admin = await open_admin(plans[0].connection)
    try:
        there = await partitions(admin)
    finally:
        await admin.close()
    for plan in plans:
        wanted = worker(plan).topics()
        counts = planned(wanted, there) if dry_run else await ensure(plan.connection, wanted)
        for topic in wanted:
            state = "exists" if topic.name in there else "missing" if dry_run else "made"
            shown.add_row(plan.topology.name, topic.role, topic.name, str(counts[topic.name]), state)
        there |= {} if dry_run else {topic.name: counts[topic.name] for topic in wanted}
