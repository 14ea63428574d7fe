"""Whether this worker still is in its group, as far as it can know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from aiokafka import AIOKafkaConsumer

from streamer.kafka import adapter
from streamer.kafka.partition import Partition

LOOK = 0.5
"""Seconds between two looks of who waits: nothing tells of heartbeats."""
TICK = 1.0
"""Seconds between two marks of a loop that goes on."""


class Membership:
    """Counts as long as the group has heard of it lately; else what it has may be somebody else's by now.

    While the group is rebalanced there are no heartbeats, and nobody is given what others still have: then it counts
    that the loop goes on. Where the group has once put it out, a partition is trusted only after it was opened or
    resumed since, for that is when it is seen whether somebody else had it.
    """

    heartbeats: adapter.Heartbeats  # there are none before `begin`

    def __init__(self, consumer: AIOKafkaConsumer, session_timeout: float) -> None:
        self.consumer = consumer
        self.session_timeout = session_timeout
        self.loop = asyncio.get_running_loop()
        self.ticking: asyncio.TimerHandle | None = None
        self.ticked = monotonic()
        self.stood_still = 0.0
        """When the loop was last found to have done so for a session."""

    def begin(self) -> None:
        """The consumer has started."""
        self.heartbeats = adapter.Heartbeats(self.consumer)
        self.tick()

    def end(self) -> None:
        """It will stop."""
        if self.ticking is not None:
            self.ticking.cancel()

    def tick(self) -> None:
        """The loop goes on; if it stood still, others were given what is here, perhaps."""
        now = monotonic()
        if now - self.ticked >= self.session_timeout:
            self.stood_still = now
        self.ticked = now
        self.heartbeats.unheard()  # so that a new start of theirs is noticed
        self.ticking = self.loop.call_later(TICK, self.tick)

    @property
    def valid(self) -> bool:
        """Whether the group has heard of it within a session."""
        unheard = self.heartbeats.unheard()
        return unheard is not None and unheard < self.session_timeout

    @property
    def joining(self) -> bool:
        """Whether it is on its way from one generation of its group to the next."""
        beats, now = self.heartbeats, monotonic()
        return (
            beats.joining
            and self.stood_still < beats.last
            and now - self.ticked < self.session_timeout
            and now - beats.last < self.session_timeout + beats.join_timeout
        )

    def trusts(self, partition: Partition) -> bool:
        """Whether tasks of it that are under way are ours to go on with, also while it is suspended."""
        return partition.trusted == self.heartbeats.losses and (self.valid or self.joining)

    async def wait(self, until: Callable[[], bool]) -> None:
        """Wait for what the group, or its broker, has to say."""
        while not until():  # noqa: ASYNC110 - nothing tells of heartbeats
            await asyncio.sleep(LOOK)
