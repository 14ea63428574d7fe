"""The command line: one command per file."""

from __future__ import annotations


def main() -> None:
    """Run a command; the entry point ``streamer``."""
    try:
        from streamer.cli.app import app

        app(prog_name="streamer")
    except KeyboardInterrupt:
        raise SystemExit(130) from None
