"""Commits: one at a time, each a sample of all partitions, counted only once the broker has acknowledged it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from streamer.kafka.commit import Commit
from streamer.kafka.metadata import Identity
from streamer.kafka.partition import Partition

EVERY = 0.2
Sample = list[tuple[Partition, Commit]]


class Committer:
    """Commits what partitions have finished, for the one owner of the consumer.

    Invariants: at most one commit is under way, so that none overtakes another; a commit holds what the
    partitions said in one breath; a partition counts as committed only by what was acknowledged.
    """

    def __init__(self, consumer: AIOKafkaConsumer, warn: Callable[[str], None]) -> None:
        self.consumer = consumer
        self.warn = warn
        self.loop = asyncio.get_running_loop()
        self.identities: dict[str, Identity] = {}
        self.under_way: asyncio.Task[None] | None = None
        self.due = self.loop.time() + EVERY

    def patience(self) -> float:
        """Seconds until the next commit is due."""
        return max(0.001, self.due - self.loop.time())

    def tick(self, partitions: Iterable[Partition]) -> None:
        """Begin a commit if it is time and there is something to commit; polling goes on meanwhile."""
        if self.loop.time() < self.due:
            return
        self.due = self.loop.time() + EVERY
        if self.under_way is None or self.under_way.done():
            sample = self.sample(partitions)
            if sample:
                self.under_way = self.loop.create_task(self.commit(sample))

    def sample(self, partitions: Iterable[Partition]) -> Sample:
        """What there is to commit, of all partitions at one moment."""
        found = ((partition, partition.commit()) for partition in partitions if partition.is_open)
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
            await self.consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            return  # the group has moved on: the listener hears of it, or has
        except KafkaError as error:
            self.warn(f"A commit failed and will be made again: {type(error).__name__}: {error}")
            return
        for partition, commit in sample:
            partition.committed(commit)

    async def commit_now(self, partitions: Iterable[Partition], seconds: float) -> bool:
        """Commit all that is finished by now, after what is under way; False when time ran out."""
        end = self.loop.time() + seconds
        everything = list(partitions)
        if not await self.settled(end):
            return False
        sample = self.sample(everything)
        if sample:
            self.under_way = self.loop.create_task(self.commit(sample))
        return await self.settled(end)

    async def settled(self, end: float) -> bool:
        """Wait for the commit under way; aiokafka itself would try without end."""
        if self.under_way is not None and not self.under_way.done():
            await asyncio.wait((self.under_way,), timeout=max(0.0, end - self.loop.time()))
            return self.under_way.done()
        return True
