"""What each task does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

PROMPT = "What is the capital of France?"


async def no_op() -> None:
    """Nothing: it never waits."""


async def turn() -> None:
    """Wait once, for nothing."""
    await asyncio.sleep(0)


WORKS: dict[str, Callable[[], Awaitable[None]]] = {"no-op": no_op, "sleep(0)": turn}
ECHO = "echo"
"""The third work: a model call whose model says the prompt again."""
