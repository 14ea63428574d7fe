"""``streamer dead-letters``: see what could not be processed, and put it back."""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.cli import logs
from streamer.cli.dead_letters.choosing import Reasons, Since, TopicName, Until, dead_letters_of, wanted
from streamer.cli.options import Servers, Verbose

dead_letters = typer.Typer(
    no_args_is_help=True,
    help="See what could not be processed and why, and put it back.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
OptionalModule = Annotated[
    str | None,
    typer.Argument(
        metavar="MODULE[:ATTRIBUTE]", show_default=False, help="Whose dead letters; or give --topic."
    ),
]


@dead_letters.command("list")
def listed(
    module: OptionalModule = None,
    topic: TopicName = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, show_default=False, help="End after so many."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON Lines instead of text.")] = False,
    bootstrap_servers: Servers = None,
    verbose: Verbose = False,
) -> None:
    """Print a line for each dead letter that is there now, and totals by reason on standard error."""
    import asyncio

    from streamer.cli.dead_letters.showing import print_all
    from streamer.cli.planning import reach

    logs.begin(verbose)
    which = wanted(reason, since, until)
    name = dead_letters_of(module, topic)
    asyncio.run(print_all(reach(bootstrap_servers), name, which, count, as_json))


@dead_letters.command("show")
def shown(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODULE] ADDRESS",
            show_default=False,
            help="PARTITION-OFFSET as list prints it, or OFFSET alone where the topic has one partition.",
        ),
    ],
    topic: TopicName = None,
    bootstrap_servers: Servers = None,
    verbose: Verbose = False,
) -> None:
    """Print one dead letter with all it has, why it is one, and what to do about it."""
    import asyncio

    from streamer.cli.dead_letters.showing import print_one
    from streamer.cli.planning import reach

    logs.begin(verbose)
    if len(what) > 2:
        raise typer.BadParameter(f"Too many arguments: {' '.join(what)}")
    *modules, address = what
    name = dead_letters_of(modules[0] if modules else None, topic)
    asyncio.run(print_one(reach(bootstrap_servers), name, address))


@dead_letters.command("redrive")
def redriven(
    module: OptionalModule = None,
    topic: TopicName = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="TOPIC", show_default=False, help="Put them there, not to where they came from."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Forget what was put back already, and begin with the first.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be put back.")] = False,
    bootstrap_servers: Servers = None,
    verbose: Verbose = False,
) -> None:
    """Put dead letters back to the topic they came from, each once.

    What was put back is remembered in the offsets of the group TOPIC.redrive: another redrive goes on after it, also
    after one that was interrupted. What the filters left out stays for another redrive. Ends with 1 if some could not
    be put back.
    """
    import asyncio

    from streamer.cli.dead_letters.redriving import put_back
    from streamer.cli.planning import reach

    logs.begin(verbose)
    which = wanted(reason, since, until)
    name = dead_letters_of(module, topic)
    raise typer.Exit(asyncio.run(put_back(reach(bootstrap_servers), name, which, to, again, dry_run)))
