"""``streamer run``: answers tasks until told to stop."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from streamer.cli import logs
from streamer.cli.options import ClaimCheck, Module, NoCreate, Servers, Verbose

Text = str | None


def run(
    module: Module,
    bootstrap_servers: Servers = None,
    input_topic: Annotated[
        Text, typer.Option("--input", metavar="TOPIC", help="Where tasks come from.")
    ] = None,
    output: Annotated[Text, typer.Option("--output", metavar="TOPIC", help="Where results go.")] = None,
    group: Annotated[
        Text,
        typer.Option("--group", metavar="NAME", help="The consumer group; by default the topology's name."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", metavar="N", help="Tasks that run at once in this process.")
    ] = None,
    delivery: Annotated[
        Text, typer.Option("--delivery", metavar="MODE", help="at-least-once, or exactly-once.")
    ] = None,
    ordering: Annotated[
        Text, typer.Option("--ordering", metavar="none|key", help="With key, tasks of one key run in order.")
    ] = None,
    drain_timeout: Annotated[
        float | None,
        typer.Option(
            "--drain-timeout", metavar="SECONDS", help="How long a stop waits for what runs; by default 30."
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            metavar="N",
            min=1,
            envvar="STREAMER_PROCESSES",
            show_envvar=False,
            help="So many workers.",
        ),
    ] = 1,
    claim_check: ClaimCheck = None,
    no_create: NoCreate = False,
    verbose: Verbose = False,
    report: Annotated[int | None, typer.Option("--report", hidden=True)] = None,
) -> None:
    """Answer tasks from Kafka by the topologies of a module, until told to stop.

    Every option is also read from the environment: STREAMER_CONCURRENCY, for example. SIGTERM or Ctrl-C drains: it
    takes no more, finishes what runs, commits, and leaves the group.
    """
    flags = {
        "bootstrap_servers": bootstrap_servers,
        "input": input_topic,
        "output": output,
        "group": group,
        "concurrency": concurrency,
        "delivery": delivery,
        "ordering": ordering,
        "drain_timeout": drain_timeout,
        "claim_check": claim_check,
    }
    raise typer.Exit(begin(module, flags, processes, not no_create, verbose, report))


def begin(
    module: str,
    flags: dict[str, Any],
    processes: int,
    create_missing: bool,
    verbose: bool,
    report: int | None,
) -> int:
    """Run in this process, or in children of it; the exit code."""
    import asyncio
    import logging

    from streamer.cli.announcement import Announcement
    from streamer.cli.loading import load
    from streamer.cli.planning import plan
    from streamer.settings import misspelt

    logs.begin(verbose)
    plans = plan(load(module), flags)
    if report is not None:
        from streamer.cli.processes import Parent

        return asyncio.run(Parent(report).serve(plans, create_missing))
    for sentence in misspelt():
        logging.getLogger("streamer").warning(sentence)
    announce = Announcement(plans)
    if processes == 1:
        from streamer.cli.serving import serve

        return asyncio.run(serve(plans, create_missing=create_missing, announce=announce))
    from streamer.cli.processes import supervise

    given = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items() if value is not None]
    given += ["--verbose"] * verbose + ["--no-create"] * (not create_missing)
    return asyncio.run(supervise(plans, [module, *given], processes, create_missing, announce))
