"""Run any task of the wire: what each says is what happens."""

import asyncio

from streamer import Topology

topology = Topology(input="tasks", output="results", concurrency=100)


@topology.function
def add(a: float, b: float) -> float:
    """A plain function runs in a thread, so it may block."""
    return a + b


@topology.function
async def wait(seconds: float, value: object = None) -> object:
    """An async function runs on the event loop."""
    await asyncio.sleep(seconds)
    return value
