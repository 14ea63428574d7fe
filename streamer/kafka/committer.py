"""Commits: one at a time, each a sample of all partitions, counted only once the broker has acknowledged it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from streamer.kafka import adapter
from streamer.kafka.commit import Commit
from streamer.kafka.metadata import Identity
from streamer.kafka.partition import Partition
from streamer.kafka.turns import Turns

EVERY = 0.2
MOVED_ON = (CommitFailedError, UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError)
"""The group has."""
Sample = list[tuple[Partition, Commit]]


class Committing(Protocol):
    """Who commits what partitions have finished, as their one owner asks; there is a turn at the end of each commit."""

    @property
    def turns(self) -> Turns: ...
    def patience(self) -> float: ...
    def tick(self) -> None: ...
    def hurry(self) -> None: ...
    async def commit_now(
        self, partitions: Sequence[Partition], seconds: float, *, leaving: bool = False
    ) -> bool: ...


class Committer:
    """Commits what partitions have finished, or are about to begin.

    Invariants: at most one commit is under way, so that none overtakes another; a commit holds what the
    partitions said in one breath; a partition counts as committed only by what was acknowledged.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Callable[[], Iterable[Partition]],
        identities: Mapping[str, Identity],
        warn: Callable[[str], None],
    ) -> None:
        self.consumer = consumer
        self.partitions = partitions
        self.identities = identities
        self.warn = warn
        self.loop = asyncio.get_running_loop()
        self.under_way: asyncio.Task[None] | None = None
        self.due = self.loop.time() + EVERY
        self.hurried = False
        self.turns = Turns()

    def patience(self) -> float:
        """Seconds until the next commit is due."""
        return max(0.001, self.due - self.loop.time())

    def tick(self) -> None:
        """Begin a commit if it is time and there is something to commit; polling goes on meanwhile."""
        if self.loop.time() >= self.due:
            self.due = self.loop.time() + EVERY
            self.begin()

    def hurry(self) -> None:
        """Commit now: something waits for it."""
        if self.under_way is None or self.under_way.done():
            self.begin()
        else:
            self.hurried = True

    def begin(self) -> None:
        if self.under_way is None or self.under_way.done():
            self.hurried = False
            sample = self.sample(self.partitions())
            if sample:
                self.under_way = self.loop.create_task(self.commit(sample))

    def sample(self, partitions: Iterable[Partition], *, leaving: bool = False) -> Sample:
        """What there is to commit, of all partitions at one moment."""
        found = ((partition, partition.commit(leaving=leaving)) for partition in partitions)
        return [(partition, commit) for partition, commit in found if commit is not None]

    async def commit(self, sample: Sample) -> None:
        """Commit a sample; what the broker did not acknowledge stays to be committed."""
        offsets = {
            TopicPartition(commit.topic, commit.number): OffsetAndMetadata(
                commit.frontier, commit.metadata(self.identities[commit.topic])
            )
            for _, commit in sample
        }
        try:
            await adapter.commit(self.consumer, offsets)
        except MOVED_ON:
            return  # the listener hears of it, or has
        except KafkaError as error:
            if not error.retriable:
                self.warn(f"A commit failed and will be made again: {type(error).__name__}: {error}")
            return
        else:
            for partition, commit in sample:
                partition.committed(commit)
            self.turns.over()
            if self.hurried:
                self.loop.call_soon(self.begin)

    async def commit_now(
        self, partitions: Sequence[Partition], seconds: float, *, leaving: bool = False
    ) -> bool:
        """Commit all that is finished by now, after what is under way; False when time ran out."""
        end = self.loop.time() + seconds
        if not await self.settled(end):
            return False
        sample = self.sample(partitions, leaving=leaving)
        if sample:
            self.under_way = self.loop.create_task(self.commit(sample))
        return await self.settled(end)

    async def settled(self, end: float) -> bool:
        """Wait for the commit under way; aiokafka itself would try without end."""
        if self.under_way is not None and not self.under_way.done():
            await asyncio.wait((self.under_way,), timeout=max(0.0, end - self.loop.time()))
            return self.under_way.done()
        return True
