"""Real processes: workers and model servers, ended with real signals, and what the servers saw of them."""

import asyncio
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streamer.kafka.connection import Connection
from tests.kafka.rig import Rig

STREAMER = str(Path(sys.executable).with_name("streamer"))
ROUNDS = int(os.environ.get("STREAMER_TEST_ROUNDS", "2"))
"""How often a worker or a broker is killed in a test; ten is what the guarantees were shown with."""
OUTAGE = float(os.environ.get("STREAMER_TEST_OUTAGE", "8"))
"""Seconds that something is away; thirty is what the guarantees were shown with."""
STORM = float(os.environ.get("STREAMER_TEST_STORM", "16"))
"""Seconds that workers join and leave for; sixty is what the guarantees were shown with."""
SESSION = 6.0
"""Seconds after which the group gives up a worker that is not heard of; less than an outage."""
DELIVERIES = ("at-least-once", "exactly-once")
"""The modes that the tests are run in."""


ON_ITS_WAY = 0.2


class Process:
    """A process that we started: ended by its id, and never left behind."""

    def __init__(self, *command: str, env: dict[str, str] | None = None) -> None:
        self.command = command
        self.env = {**os.environ, **(env or {})}
        self.lines: list[str] = []

    async def start(self, sign: str, seconds: float = 60) -> str:
        """Start it and wait for the line that holds ``sign``."""
        self.process = await asyncio.create_subprocess_exec(
            *self.command,
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
        )
        self.seen = asyncio.get_running_loop().create_future()
        self.reader = asyncio.create_task(self.read(sign))
        return await asyncio.wait_for(asyncio.shield(self.seen), seconds)

    async def read(self, sign: str) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self.lines.append(text)
            if sign in text and not self.seen.done():
                self.seen.set_result(text)
        if not self.seen.done():
            self.seen.set_exception(
                AssertionError(f"{self.command[:3]} ended early:\n" + "\n".join(self.lines))
            )
            self.seen.exception()

    def signal(self, number: signal.Signals) -> float:
        """Send a signal; when, by the time of day."""
        at = time.time()
        self.process.send_signal(number)
        return at

    async def kill(self) -> float:
        """kill -9."""
        at = self.signal(signal.SIGKILL)
        await self.process.wait()
        await self.reader
        return at

    async def terminate(self, seconds: float = 60) -> int:
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended(seconds)

    async def ended(self, seconds: float = 60) -> int:
        """Wait until it ends by itself: the exit code."""
        code = await asyncio.wait_for(self.process.wait(), seconds)
        await self.reader
        return code

    def said(self, text: str) -> list[str]:
        """The lines that hold ``text``."""
        return [line for line in self.lines if text in line]

    async def close(self) -> None:
        if self.process.returncode is None:
            await self.kill()


class Seen:
    """What a model server saw: calls received and answered, by prompt, in order."""

    def __init__(self, *logs: Path) -> None:
        self.received: dict[str, list[float]] = defaultdict(list)
        self.answered: dict[str, list[float]] = defaultdict(list)
        self.calls: list[tuple[Path, str, float, float | None]] = []
        for log in logs:
            open_calls: dict[int, tuple[str, float]] = {}
            for line in log.read_text().splitlines():
                entry = json.loads(line)
                if entry["event"] == "received":
                    open_calls[entry["number"]] = (entry["prompt"], entry["at"])
                    self.received[entry["prompt"]].append(entry["at"])
                else:
                    prompt, at = open_calls.pop(entry["number"])
                    self.answered[prompt].append(entry["at"])
                    self.calls.append((log, prompt, at, entry["at"]))
            self.calls += [(log, prompt, at, None) for prompt, at in open_calls.values()]

    @property
    def repeated(self) -> set[str]:
        """Prompts that were received more than once."""
        return {prompt for prompt, times in self.received.items() if len(times) > 1}

    def paid_again_without_excuse(self, kills: list[tuple[Path, float]], within: float = 0.5) -> list[str]:
        """Prompts called again though no kill explains it.

        A call is excused when the worker that made it was killed while it was under way (also still on its way
        to the server, which reads it a moment later), or at most ``within`` seconds after it was answered.
        """
        found = []
        for prompt in self.repeated:
            calls = sorted((c for c in self.calls if c[1] == prompt), key=lambda call: call[2])
            for log, _, received, answered in calls[:-1]:
                if not any(
                    log == killed
                    and received <= at + ON_ITS_WAY
                    and (answered is None or answered >= at - within)
                    for killed, at in kills
                ):
                    found.append(f"{prompt}: received {received}, answered {answered}, kills {kills}")
        return found


class Site:
    """A rig with workers of their own processes, each with a model server of its own."""

    def __init__(self, rig: Rig, directory: Path) -> None:
        self.rig = rig
        self.directory = directory
        self.processes: list[Process] = []
        self.logs: list[Path] = []

    @property
    def connection(self) -> Connection:
        return self.rig.connection

    async def model_server(self, *arguments: str) -> tuple[str, Path]:
        """Start one; its base URL and its log."""
        log = self.directory / f"model-{len(self.logs)}.jsonl"
        log.touch()
        self.logs.append(log)
        server = Process(
            sys.executable, "-m", "streamer.testing.servers", "--port", "0", "--log", str(log), *arguments
        )
        self.processes.append(server)
        line = await server.start("listening")
        return line.split()[-1], log

    async def worker(
        self, url: str, *flags: str, module: str = "topologies/tasks.py", **more: str
    ) -> Process:
        """Start a worker process whose ``openai:`` is the model server at ``url``; as :meth:`run`."""
        rig = self.rig
        named = ("--input", rig.name, "--output", rig.output, "--group", rig.name)
        return await self.run(url, module, *named, *flags, **more)

    async def run(
        self,
        url: str,
        module: str,
        *flags: str,
        sign: str = "ready",
        bootstrap: str | None = None,
        delivery: str | None = None,
        **env: str,
    ) -> Process:
        """Start ``streamer run`` with what the module and the flags say; ready, or as ``sign`` says, when this returns."""
        mode = () if delivery is None else ("--delivery", delivery)
        process = Process(
            STREAMER,
            "run",
            module,
            "--bootstrap-servers",
            bootstrap or self.rig.bootstrap,
            *mode,
            *flags,
            env={
                "OPENAI_BASE_URL": url,
                "OPENAI_API_KEY": "test",
                "STREAMER_SESSION_TIMEOUT": f"{SESSION:g}",
                "STREAMER_PARTITIONS": str(self.rig.partitions),
                **env,
            },
        )
        self.processes.append(process)
        await process.start(sign)
        return process

    @property
    def seen(self) -> Seen:
        return Seen(*self.logs)

    def entries(self) -> Iterator[dict[str, Any]]:
        """What the model servers wrote, log by log."""
        for log in self.logs:
            for line in log.read_text().splitlines():
                yield json.loads(line)

    async def close(self) -> None:
        """End what still runs, and show, should the test fail, what all of them said."""
        for process in reversed(self.processes):
            await process.close()
        for process in self.processes:
            print(*process.command[1:3], *process.lines, sep="\n  ")


def question(number: int, **fields) -> dict:
    """A task that calls ``openai:`` once, with a prompt that names it."""
    return {
        "id": f"t{number}",
        "kind": "llm",
        "model": "openai:test",
        "prompt": f"question {number}",
        **fields,
    }


def size(default: int) -> int:
    """How many tasks a test takes: STREAMER_TEST_TASKS; by default as many as a small machine does in passing."""
    return int(os.environ.get("STREAMER_TEST_TASKS", default))


def questions(count: int, **fields) -> list[dict]:
    """Tasks ``t0`` and on."""
    return [question(number, **fields) for number in range(count)]
