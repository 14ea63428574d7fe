"""Which partitions are ours: how they come, go, and come back with their work still under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from streamer.kafka.committer import Committing
from streamer.kafka.opening import LossFound, Opener
from streamer.kafka.partition import Partition
from streamer.kafka.record import LOST, PARKED, Record

GRACE = 5.0
"""Seconds that calls of a partition that went elsewhere may still take; their results are dropped anyway."""

HELD = 0.5
"""Seconds until what is held back is looked at again."""

REOPENED_AFTER = 1.0
"""Seconds in which the group may say that it is somebody else's."""


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    """The partitions that are ours, and those that were a moment ago.

    Rebalances are eager: each takes all partitions, and gives most of them back. So a revoke waits at most
    ``revoke_timeout`` seconds for what runs, commits, and suspends; what then comes back and was nobody else's
    meanwhile goes on as if nothing had happened, and the rest is closed, its work ended after a grace.

    ``changed`` is set when something may be polled, or was taken; ``opened`` is called before anything is, ``leave``
    awaited before partitions are suspended, ``release`` called with each that is gone for good, and ``held`` says
    which are not to be opened yet.

    Invariant: what is in ``partitions`` or ``suspended`` is not closed for good; while any of ``partitions`` is to
    be opened, a task is opening, or will be.
    """

    def __init__(
        self,
        opener: Opener,
        committer: Committing,
        *,
        revoke_timeout: float,
        in_group: Callable[[], bool],
        losses: Callable[[], int],
        changed: asyncio.Event,
        opened: Callable[[], object],
        leave: Callable[[float], Awaitable[object]],
        release: Callable[[Partition], object],
        held: Callable[[Sequence[Partition]], Awaitable[Collection[Partition]]] | None,
        fail: Callable[[Exception], None],
        warn: Callable[[str], None],
    ) -> None:
        self.opener = opener
        self.committer = committer
        self.revoke_timeout = revoke_timeout
        self.in_group = in_group
        self.losses = losses
        self.changed = changed
        self.opened = opened
        self.leave = leave
        self.release = release
        self.held = held
        self.fail = fail
        self.warn = warn
        self.loop = asyncio.get_running_loop()
        self.partitions: dict[TopicPartition, Partition] = {}
        self.suspended: dict[TopicPartition, Partition] = {}
        self.opening: asyncio.Task[None] | None = None
        self.lost: set[Partition] = set()
        """In the place of those that were just lost to somebody: they wait."""
        self.held_back: Collection[Partition] = ()
        self.ready = asyncio.Event()
        self.resumed = 0
        """How many partitions came back with their work still under way."""

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let go what has not begun, await what runs, commit, suspend: all within the revoke's time."""
        del revoked  # rebalances are eager: all of them are
        end = self.loop.time() + self.revoke_timeout
        if self.opening is not None:
            self.opening.cancel()
        leaving = list(self.partitions.values())
        for partition in leaving:
            partition.let_go(parked=False)
        self.committer.turns.over()
        if self.in_group():  # else nobody waits for it, and nothing that it wrote now would count
            await self.finish(leaving, end)
        for tp, partition in self.partitions.items():
            if partition.is_open:
                partition.suspend()
            if partition.suspended:
                self.suspended[tp] = partition
            else:
                partition.close()
        self.partitions = {}

    async def finish(self, leaving: list[Partition], end: float) -> None:
        """Wait for what runs, and commit, until ``end`` on the loop's clock."""
        while any(waited_for(partition) for partition in leaving):
            left = end - self.loop.time()
            if left <= 0:
                break
            self.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), min(left, 0.1))
        await self.leave(max(1.0, end - self.loop.time()))
        await self.committer.commit_now(leaving, max(1.0, end - self.loop.time()), leaving=True)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Open them, in a task of their own: until then they are closed, and what they deliver is discarded."""
        before, self.suspended = self.suspended, {}
        self.partitions = {}
        self.lost.clear()
        for tp in sorted(assigned):
            self.partitions[tp] = before.pop(tp) if tp in before else Partition(tp.topic, tp.partition)
        self.give_up(before.values())
        self.opening = self.loop.create_task(self.open())

    async def open(self) -> None:
        """Open all, and try again while the cluster is not well, or one was lost meanwhile."""
        wait = 0.1
        while still := self.closed():
            losses = self.losses()
            try:
                held = await self.held(still) if self.held is not None else ()
                self.held_back = held
                still = [partition for partition in still if partition not in held]
                suspended = sum(partition.suspended for partition in still)
                foreign = await self.opener.open(still) if still else []
            except LossFound as error:
                self.fail(error)
                return
            except (KafkaError, OSError, TimeoutError) as error:
                self.warn(f"Partitions can't be opened yet: {type(error).__name__}: {error}")
                await asyncio.sleep(wait)
                wait = min(5.0, 2 * wait)
                continue
            for partition in still:
                partition.trusted = losses
            self.opened()
            self.resumed += suspended - len(foreign)
            self.give_up(foreign)
            for partition in foreign:
                tp = TopicPartition(partition.topic, partition.number)
                self.partitions[tp] = Partition(tp.topic, tp.partition)
            if held and not foreign:
                self.begin()
                await asyncio.sleep(HELD)
        self.begin()

    def closed(self) -> list[Partition]:
        """Those that are to be opened now."""
        return [p for p in self.partitions.values() if not p.is_open and p not in self.lost]

    def overdue(self) -> list[Partition]:
        """Those that should be open by now."""
        return [partition for partition in self.closed() if partition not in self.held_back]

    def begin(self) -> None:
        """What is open may be polled."""
        self.committer.hurry()
        self.ready.set()
        self.changed.set()

    async def overrun(self) -> None:
        """The log was deleted beyond where some of them read; a poll that is refused again brings us back here."""
        try:
            await self.opener.overrun(
                [partition for partition in self.partitions.values() if partition.is_open]
            )
        except (KafkaError, OSError, TimeoutError) as error:
            self.warn(f"The log's beginning can't be read yet: {type(error).__name__}: {error}")

    def give_up(self, partitions: Iterable[Partition]) -> None:
        """They went elsewhere: what of them still runs is ended after a grace, and its results are dropped."""
        for partition in partitions:
            self.close_one(partition)
            if partition.running:
                self.warn(
                    f"{partition.topic}-{partition.number} went to another worker while {partition.running} of its "
                    "tasks ran here; their results are dropped, and they run again there."
                )
            self.loop.call_later(GRACE, end_all, partition)

    def reopen(self, partition: Partition) -> None:
        """Somebody else could commit in its place: if it is ours all the same, it is to be read anew."""
        tp = TopicPartition(partition.topic, partition.number)
        self.close_one(partition)
        self.loop.call_later(GRACE, end_all, partition)
        if self.suspended.get(tp) is partition:
            del self.suspended[tp]  # if it comes back, it is read anew
        if self.partitions.get(tp) is partition:
            self.warn(f"{tp.topic}-{tp.partition}: another worker had it meanwhile; it is read anew.")
            again = self.partitions[tp] = Partition(tp.topic, tp.partition)
            self.lost.add(again)
            self.loop.call_later(REOPENED_AFTER, self.open_again, again)

    def open_again(self, partition: Partition) -> None:
        self.lost.discard(partition)
        if self.opening is None or self.opening.done():
            self.opening = self.loop.create_task(self.open())

    def close(self) -> None:
        """Nothing comes back any more."""
        if self.opening is not None:
            self.opening.cancel()
        for partition in (*self.partitions.values(), *self.suspended.values()):
            self.close_one(partition)
            end_all(partition)

    def close_one(self, partition: Partition) -> None:
        partition.close()
        self.release(partition)


def waited_for(partition: Partition) -> bool:
    """Whether results of it are still to come soon; what is parked takes its time."""
    if not partition.is_open:
        return False
    return any(record.state is not LOST and record.state is not PARKED for record in partition.records)


def end_all(partition: Partition) -> None:
    """Cancel what still runs of it, or is parked."""
    for record in partition.records:
        end_work(record)


def end_work(record: Record) -> None:
    """Cancel what runs it; without ``work`` it knows that it was meant, and not the whole worker."""
    work, record.work = record.work, None
    if work is not None:
        work.cancel()
