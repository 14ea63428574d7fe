"""What a newcomer asks first."""

import subprocess
import sys

import pytest

from streamer.version import __version__
from tests.cli.shell import streamer

COMMANDS = (
    "demo",
    "run",
    "batch",
    "status",
    "check",
    "topics",
    "produce",
    "consume",
    "cancel",
    "dead-letters",
)


def test_help_names_every_command_and_the_exit_codes() -> None:
    done = streamer("--help")
    assert (done.code, done.err) == (0, "")
    assert [command for command in COMMANDS if command not in done.out] == []
    assert "130 interrupted" in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = streamer(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"streamer {command}" in done.out


def test_run_has_the_flags_of_the_wire() -> None:
    flags = (
        "--bootstrap-servers --input --output --group --concurrency --delivery --ordering --drain-timeout "
        "--processes --no-create"
    )
    shown = streamer("run", "--help").out
    assert [flag for flag in flags.split() if flag not in shown] == []
    assert "--report" not in shown


def test_the_version_is_shown() -> None:
    assert streamer("--version").out == f"streamer {__version__}\n"


def test_without_a_command_the_help_is_shown() -> None:
    done = streamer()
    assert done.code in (0, 2)  # typer's versions differ
    assert "Usage" in done.out + done.err


def test_help_does_not_wait_for_what_only_commands_need() -> None:
    code = (
        "import sys, streamer.cli.app; print({'aiokafka', 'aiohttp', 'confluent_kafka'} & sys.modules.keys())"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
