"""All commands, and what becomes of their errors: one line that says what to do, and an exit code."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from streamer.cli.batch import batch
from streamer.cli.cancel import cancel
from streamer.cli.check import check
from streamer.cli.consume import consume
from streamer.cli.dead_letters import dead_letters
from streamer.cli.demo import demo
from streamer.cli.produce import produce
from streamer.cli.run import run
from streamer.cli.status import status
from streamer.cli.topics import topics
from streamer.errors import StreamerError
from streamer.version import __version__

UsageError: Any = typer.BadParameter.__base__
"""It has no public name of its own."""
WRONG_USE = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """Ends with 2 on what Streamer itself calls wrong, and with 130 when interrupted; without tracebacks."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except StreamerError as error:
            print(f"streamer: {error}", file=sys.stderr)
            raise typer.Exit(WRONG_USE) from error
        except UsageError as error:
            where = error.ctx.command_path if error.ctx is not None else "streamer"
            print(f"{where}: {error.format_message().rstrip('.')}. See `{where} --help`.", file=sys.stderr)
            raise typer.Exit(WRONG_USE) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(INTERRUPTED) from error


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def show_version(wanted: bool) -> None:
    if wanted:
        print(f"streamer {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Begin with **streamer demo**, which needs nothing else. "
    "Exit codes: 0 done, 1 failed while running (batch: some task did not succeed), 2 wrong use or settings, 130 interrupted."
)
def streamer(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Answers tasks from a Kafka topic, one result each, by a page of Python."""
    del version


for command in (demo, run, batch, status, check, topics, produce, consume, cancel):
    app.command()(command)
app.add_typer(dead_letters, name="dead-letters")
