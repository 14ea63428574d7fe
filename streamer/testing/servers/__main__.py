"""The server as a process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import Any

from streamer.errors import SettingsError
from streamer.providers.simulated import SETTINGS
from streamer.testing.servers.plan import Plan
from streamer.testing.servers.server import FaultServer


async def serve(plan: str | None, **settings: Any) -> None:
    """Serve until the process is told to end; SIGUSR1 holds all answers back, SIGUSR2 releases them."""
    rule = None if plan is None else Plan.parse(plan, settings.get("seed", 0))
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with FaultServer(rule, keep=False, **settings) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        loop.add_signal_handler(signal.SIGUSR1, server.hold)
        loop.add_signal_handler(signal.SIGUSR2, server.release)
        sys.stdout.write(f"listening {server.url}\n")
        sys.stdout.flush()
        await ended.wait()


def main() -> None:
    """Run the server as a process."""
    parser = argparse.ArgumentParser("python -m streamer.testing.servers", description="A model server.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument(
        "--log", help="a file that gets a line of JSON per call received and per call answered"
    )
    parser.add_argument("--plan", help="shares of faults by --seed and prompt, such as status=0.2,hang=0.1")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between two events of a stream")
    for name, kind in SETTINGS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=argparse.SUPPRESS)
    try:
        asyncio.run(serve(**vars(parser.parse_args())))
    except SettingsError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
