"""A worker with a module and topics of its own."""

import json
from pathlib import Path

from tests.brokers import Broker
from tests.cli.shell import Running, streamer

MODULE = """
import asyncio
import time

from streamer import Topology

topology = Topology({topic!r}, {topic!r} + "-out")


@topology.function
def block(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@topology.function
async def refuse(seconds: float) -> float:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            continue
    return seconds


@topology.function
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds
"""


class Site:
    """A module with functions of its own, its topics, and a broker."""

    def __init__(self, broker: Broker, topic: str, directory: Path) -> None:
        self.servers = broker.bootstrap_servers
        self.topic = topic
        self.module = directory / "module.py"
        self.module.write_text(MODULE.format(topic=topic))

    def running(self, *flags: str, **env: str) -> Running:
        return Running("run", str(self.module), *flags, STREAMER_BOOTSTRAP_SERVERS=self.servers, **env)

    def call(self, name: str, seconds: float, count: int = 1) -> None:
        task = {"kind": "function", "name": name, "arguments": [seconds]}
        lines = "".join(f"{json.dumps(task)}\n" for _ in range(count)).encode()
        assert (
            streamer("produce", self.topic, "-", stdin=lines, STREAMER_BOOTSTRAP_SERVERS=self.servers).code
            == 0
        )

    def results(self, count: int, timeout: float = 20) -> list[dict]:
        flags = ["--from-beginning", "--count", str(count), "--timeout", str(timeout)]
        done = streamer("consume", f"{self.topic}-out", *flags, STREAMER_BOOTSTRAP_SERVERS=self.servers)
        return [json.loads(line) for line in done.out.splitlines()]
