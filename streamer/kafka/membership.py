"""Whether this worker still is in its group, as far as it can know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer

from streamer.kafka import adapter
from streamer.kafka.turns import Turns

LOOK = 0.05
"""Seconds between two looks at the heartbeats: nothing tells of them."""
LOOKS = 10
"""After so many, all who wait see whether they still want to."""


class Membership:
    """Counts as long as the group has heard of it lately; else what it has may be somebody else's by now."""

    heartbeats: adapter.Heartbeats  # there are none before `begin`

    def __init__(self, consumer: AIOKafkaConsumer, session_timeout: float) -> None:
        self.consumer = consumer
        self.session_timeout = session_timeout
        self.turns = Turns()
        self.timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The consumer has started."""
        self.heartbeats = adapter.Heartbeats(self.consumer)

    @property
    def valid(self) -> bool:
        unheard = self.heartbeats.unheard()
        return unheard is not None and unheard < self.session_timeout

    async def heard(self, wanted: Callable[[], bool]) -> None:
        """Wait until the group has heard of this worker, or that is not wanted any more."""
        while wanted() and not self.valid:
            if self.timer is None:
                self.timer = self.turns.loop.call_later(LOOK, self.look, 1)
            await self.turns.wait()

    def look(self, looks: int) -> None:
        """One look for all who wait, thousands of tasks perhaps."""
        if self.valid or looks == LOOKS:
            self.timer = None
            self.turns.over()
        else:
            self.timer = self.turns.loop.call_later(LOOK, self.look, looks + 1)
