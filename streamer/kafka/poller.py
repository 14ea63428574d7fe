"""The one that polls: only for what there is room for, and only where records are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, OffsetOutOfRangeError

from streamer.kafka import adapter
from streamer.kafka.assignment import Assignment
from streamer.kafka.committer import Committing
from streamer.kafka.dispatcher import Dispatcher
from streamer.kafka.journal.journals import Journals
from streamer.kafka.ledger import SLACK
from streamer.kafka.partition import Partition
from streamer.kafka.quarantine import Quarantine

POLL = SLACK
"""Records a poll takes at most: what the windows leave room for, beyond which metadata might not fit."""
IDLE = 0.5
PACE = 0.2
"""Seconds over which it is measured how fast a partition's records begin."""


class Poller:
    """Polls until it is ``stopping``, and lets the committer commit when it is time; what goes wrong for good
    ``fail`` is told.

    Invariant: nothing is delivered from a partition that is not open.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topic: str,
        assignment: Assignment,
        committer: Committing,
        dispatcher: Dispatcher,
        quarantine: Quarantine,
        journals: Journals | None,
        fail: Callable[[Exception], None],
    ) -> None:
        self.consumer = consumer
        self.topic = topic
        self.assignment = assignment
        self.committer = committer
        self.dispatcher = dispatcher
        self.quarantine = quarantine
        self.journals = journals
        self.fail = fail
        self.loop = asyncio.get_running_loop()
        self.paced = 0.0
        self.stopping = False
        self.running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """A poll is never cancelled: aiokafka would lose count of them."""
        self.running = self.loop.create_task(self.run())

    async def run(self) -> None:
        self.consumer.subscribe([self.topic], listener=self.assignment)
        try:
            while not self.stopping:
                try:
                    await self.turn()
                except OffsetOutOfRangeError:
                    await self.assignment.overrun()
        except ConsumerStoppedError:
            return
        except Exception as error:
            self.fail(error)

    async def turn(self) -> None:
        """One poll, or a wait for room; then a commit if it is time."""
        dispatcher = self.dispatcher
        free = dispatcher.free
        partitions = self.assignment.partitions
        ready = [tp for tp, partition in partitions.items() if self.wants(partition)]
        patience = self.committer.patience() if free < dispatcher.outstanding else IDLE
        polled: dict[TopicPartition, list[Any]] = {}
        if ready and self.taking:
            polled = await self.consumer.getmany(
                *ready, timeout_ms=max(1, int(patience * 1000)), max_records=min(free, POLL)
            )
        else:
            adapter.check(self.consumer)  # without a poll nobody else would hear of the group's errors
            await dispatcher.change(patience)
        if self.stopping:
            return
        self.deliver(polled)
        self.committer.tick()
        self.note_pace()
        if self.journals is not None:
            self.journals.tick(self.assignment.partitions.values())

    def note_pace(self) -> None:
        """How fast records begin is measured at even intervals."""
        if self.loop.time() >= self.paced:
            self.paced = self.loop.time() + PACE
            for partition in self.assignment.partitions.values():
                if partition.is_open:
                    partition.reach.note_pace()

    @property
    def taking(self) -> bool:
        """Whether there is room enough for a poll."""
        dispatcher = self.dispatcher
        return not self.stopping and dispatcher.free >= min(POLL, dispatcher.outstanding // 2 or 1)

    def wants(self, partition: Partition) -> bool:
        """Whether it is to be polled; while suspects are tried, only for more of them."""
        return partition.has_room and (not self.quarantine.active or partition.expects_suspects)

    def deliver(self, polled: dict[TopicPartition, list[Any]]) -> None:
        """Hand on what was polled; positions are read without records too, for they pass over control records."""
        for tp, partition in self.assignment.partitions.items():
            if not partition.is_open:
                continue
            position = adapter.position(self.consumer, tp)
            messages = polled.get(tp, ())
            if position is None or (not messages and position == partition.position):
                continue
            for record in partition.deliver(messages, position):
                self.dispatcher.enter(record)
        if polled:
            adapter.rotate(self.consumer, polled)

    def read_again(self, place: str) -> None:
        """Fetch anew from where a partition stands: what a consumer that has gone silent is helped by, perhaps."""
        for tp, partition in self.assignment.partitions.items():
            if partition.is_open and f"{tp.topic}-{tp.partition}" == place:
                adapter.seek(self.consumer, tp, partition.ledger.begin_again())
