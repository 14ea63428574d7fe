"""Several processes of one worker each: the parent that starts them, and what a child knows of it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from streamer.cli.announcement import Announce
from streamer.cli.planning import Plan
from streamer.cli.serving import INTERRUPTED, serve, worker
from streamer.kafka.topics import ensure
from streamer.settings import ENVIRONMENT

log = logging.getLogger("streamer")
INSTANCE = ENVIRONMENT["group_instance_id"]


class Parent:
    """The parent, as a child sees it: ``report`` is the pipe to it, and standard input ends when it does."""

    def __init__(self, report: int) -> None:
        self.report = report

    async def serve(self, plans: list[Plan], create_missing: bool) -> int:
        """Run, and drain when the parent is gone, for nobody could stop this process then."""
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), self.gone, loop)
        return await serve(plans, create_missing=create_missing, announce=self)

    def gone(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(sys.stdin.fileno())
        log.warning("the parent process is gone")
        os.kill(os.getpid(), signal.SIGTERM)

    def __call__(self, line: str) -> None:
        """The parent says it, once, for all of its children."""
        os.write(self.report, f"{line}\n".encode())
        os.close(self.report)

    def withdraw(self) -> None:
        """That is the parent's business too."""


async def supervise(
    plans: list[Plan], arguments: list[str], count: int, create_missing: bool, announce: Announce
) -> int:
    """Start the children, pass signals on, and end when they have; the worst of their exit codes.

    Topics are made here, so that what is wrong with them is said once.
    """
    for plan in plans:
        wanted = worker(plan).topics()
        await ensure(plan.connection, wanted, create_missing=create_missing, say=log.warning)
    loop = asyncio.get_running_loop()
    heard, report = os.pipe()
    command = [sys.executable, "-m", "streamer", "run", *arguments, "--processes=1", f"--report={report}"]
    children = [
        # a session of its own, or a terminal's Ctrl-C would reach a child twice
        await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            pass_fds=(report,),
            start_new_session=True,
            env=environment(number),
        )
        for number in range(1, count + 1)
    ]
    os.close(report)

    def pass_on(number: signal.Signals) -> None:
        for child in children:
            if child.returncode is None:
                child.send_signal(number)
        announce.withdraw()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, pass_on, number)
    told = loop.create_task(hear(heard, count, plans, announce))
    codes = await asyncio.gather(*(ended(number, child, count) for number, child in enumerate(children, 1)))
    told.cancel()
    announce.withdraw()
    return max(codes)


def environment(number: int) -> dict[str, str]:
    """A child's: a name that the group knows a worker by is one worker's."""
    name = os.environ.get(INSTANCE, "").strip()
    return {**os.environ, INSTANCE: f"{name}-{number}"} if name else dict(os.environ)


async def hear(heard: int, count: int, plans: list[Plan], announce: Announce) -> None:
    """Say once that all children are there."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe = os.fdopen(heard, "rb", 0)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    for _ in range(count):
        if not await reader.readline():
            return
    topologies = "; ".join(
        f"topology {plan.topology.name}, {plan.input} -> {plan.output}, group {plan.group}" for plan in plans
    )
    announce(f"ready: {count} processes; {topologies}")


async def ended(number: int, child: asyncio.subprocess.Process, count: int) -> int:
    """Wait for a child; its exit code, as a shell would say it."""
    code = await child.wait()
    if code not in (0, INTERRUPTED):
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        log.warning("process %d of %d has ended %s; the others go on", number, count, how)
    return 128 - code if code < 0 else code
