"""The demo's topology: it runs any task of the wire, like topologies/tasks.py, and has three functions."""

from __future__ import annotations

import asyncio

from streamer.tasks import Retry
from streamer.topology import Topology

QUICK = "simulated:quick?latency=lognormal(0.3,0.5)&error_rate=0.05&seed=1"
OTHER = "simulated:other?latency=lognormal(0.4,0.6)&error_rate=0.05&seed=2"
CAREFUL = "simulated:careful?latency=lognormal(0.9,0.3)&seed=3"
BUSY = "simulated:busy?latency=0.15&error_rate=0.6&error=rate_limit&seed=4"
LOCKED = "simulated:locked?latency=0.1&error_rate=1&error=authentication&seed=5"
STUCK = "simulated:stuck?hang_rate=1&seed=6"
ECHO = "echo:"
CONCURRENCY = 64


def make() -> Topology:
    """A topology of its own for each demo."""
    topology = Topology(
        input="demo-tasks",
        output="demo-results",
        name="demo",
        concurrency=CONCURRENCY,
        retry=Retry(max_attempts=3, initial_delay=0.1),
    )

    @topology.function
    def count_words(text: str) -> int:
        return len(text.split())

    @topology.function
    async def look_up(city: str) -> str:
        await asyncio.sleep(0.2)
        return f"{city} is on the map."

    @topology.function
    def divide(a: float, b: float) -> float:
        return a / b

    return topology
