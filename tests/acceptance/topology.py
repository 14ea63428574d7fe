"""The topology that answers the acceptance tasks of the wire."""

import asyncio
from collections import Counter
from typing import Any

from streamer import Topology
from streamer.errors import CallFailed


def acceptance(name: str) -> Topology:
    """Functions that answer, fail, wait, cancel themselves, and count."""
    topology = Topology(name, f"{name}-results", partitions=4, concurrency=100)
    calls: Counter[str] = Counter()
    running = peak = 0

    @topology.function
    async def say(value: Any, seconds: float = 0.0) -> Any:
        await asyncio.sleep(seconds)
        return value

    @topology.function
    async def fail(message: str = "no", seconds: float = 0.0) -> None:
        await asyncio.sleep(seconds)
        raise RuntimeError(message)

    @topology.function
    async def cancel_itself() -> None:
        raise asyncio.CancelledError("by its own hand")

    @topology.function
    async def flaky(key: str, failures: int, retry_after: float | None = None) -> int:
        """Fails so often, and then says how often it was called."""
        calls[key] += 1
        if calls[key] <= failures:
            raise CallFailed("overloaded", "busy", retry_after=retry_after)
        return calls[key]

    @topology.function(concurrency=2)
    async def crowded(seconds: float) -> int:
        """How many of its calls there were at once, at most, so far."""
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        try:
            await asyncio.sleep(seconds)
            return peak
        finally:
            running -= 1

    return topology


def call(name: str, *arguments: Any, **fields: Any) -> dict[str, Any]:
    """A task of kind ``function``."""
    return {"kind": "function", "name": name, "arguments": list(arguments), **fields}
