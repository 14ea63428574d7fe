"""A task's journal in memory, and calls that are counted, for runs that crash and are taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from streamer.engine import Engine
from streamer.events import Outcome
from streamer.limits import Limit
from streamer.operand import as_single
from streamer.providers.protocol import Request
from streamer.providers.registry import Registry
from streamer.results import Result
from tests.operators.doubles import now

LATENCY = 0.1
"""Seconds from a note until it is durable."""


class Memory:
    """What is noted is durable after a while, in the order it was noted; a crash keeps that alone."""

    def __init__(self, durable: dict[tuple[str, int], bytes] | None = None) -> None:
        self.durable = durable or {}
        self.restarted = durable is not None
        self.gone = self.unsure = False
        self.pending: list[tuple[tuple[str, int], bytes]] = []
        self.parked: list[tuple[float, float | None]] = []
        self.noted: list[Outcome] = []

    @property
    def unsettled(self) -> bool:
        return bool(self.pending)

    def recall(self, path: str, number: int) -> Outcome | None:
        kept = self.durable.get((path, number))
        return None if kept is None else msgspec.msgpack.decode(kept, type=Outcome)

    def note(self, outcome: Outcome) -> None:
        assert not self.gone
        self.noted.append(outcome)
        self.pending.append(((outcome.path, outcome.number), msgspec.msgpack.encode(outcome)))
        asyncio.get_running_loop().call_later(LATENCY, self.write)

    def write(self) -> None:
        if not self.gone:
            self.durable.update([self.pending.pop(0)])

    async def settle(self) -> None:
        while (self.pending or self.unsure) and not self.gone:
            await asyncio.sleep(LATENCY / 4)

    def park(self) -> None:
        assert not self.parked or self.parked[-1][1] is not None
        self.parked.append((now(), None))

    def unpark(self) -> None:
        began, ended = self.parked.pop()
        assert ended is None
        self.parked.append((began, now()))

    def crash(self) -> Memory:
        """The journal as the next run finds it."""
        self.gone = True
        return Memory(dict(self.durable))

    @property
    def attempts(self) -> set[tuple[str, int]]:
        """The attempts that the next run must not make."""
        return {key for key in self.durable if key[1] > 0}


class Model:
    """Answers as it is told by prompt and number of the attempt, so that every run is answered the same."""

    def __init__(self, lines: Callable[[str, int], Any] | None = None, **settings: Any) -> None:
        self.lines = lines or (lambda prompt, number: f"{prompt}!")
        self.began: list[str] = []
        """The ids of the attempts."""
        self.prompts: list[str] = []
        self.ask = Registry().declare(self.answer, {"name": "model:", **settings})

    async def answer(self, request: Request) -> Any:
        self.began.append(request.attempt_id)
        self.prompts.append(request.prompt)
        line = self.lines(request.prompt, int(request.attempt_id.rpartition("#")[2]))
        seconds, line = line if isinstance(line, tuple) else (1.0, line)
        await asyncio.sleep(seconds)
        if isinstance(line, BaseException):
            raise line
        return line


class Runs:
    """The runs of one task, each in a run slot of its own; ``begin`` again after a ``crash``."""

    def __init__(self, plan: Callable[[], Any], **settings: Any) -> None:
        self.slots = Limit(1)
        self.engine = Engine(lambda _: as_single(plan()), slots=self.slots, **settings)
        self.journal = Memory()

    async def run(self, journal: Memory | None) -> Result:
        await self.slots.acquire()
        try:
            return await self.engine.run(None, task_id="t", journal=journal)
        finally:
            if self.slots.kept:
                self.slots.kept -= 1
            else:
                self.slots.give()

    async def crash(self, seconds: float) -> Result | None:
        """Run it for so long and lose what was not durable by then; or its result, if it was quicker."""
        journal = self.journal
        task = asyncio.ensure_future(self.run(journal))
        await asyncio.sleep(seconds)
        self.journal = journal.crash()
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait((task,), timeout=10)
        assert task.cancelled()
        self.check()
        return None

    async def end(self) -> Result:
        """Run it to its end."""
        result = await self.run(self.journal)
        self.check()
        return result

    def check(self) -> None:
        assert (self.slots.active, self.slots.kept, self.slots.waiters.alive) == (0, 0, 0)
        assert all(ended is not None for _, ended in self.journal.parked)
