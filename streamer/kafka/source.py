"""Where data enters: the one owner of the consumer. It alone polls, seeks and commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError, OffsetOutOfRangeError
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from streamer.errors import StreamerError
from streamer.kafka import adapter
from streamer.kafka.committer import Committer
from streamer.kafka.lanes import Lanes
from streamer.kafka.ledger import SLACK
from streamer.kafka.opening import LossFound, open_partitions
from streamer.kafka.partition import Partition
from streamer.kafka.record import LOST, Record

POLL = SLACK
"""Records a poll takes at most: what the windows leave room for, beyond which metadata might not fit."""
IDLE = 0.5


class Source(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads a topic and pushes only what there is room for.

    ``outstanding`` bounds the records between the poll and the acknowledged result, and with that every queue
    behind this one. ``lanes`` keep key order. ``revoke_timeout`` is how many seconds a rebalance waits for what
    runs. ``on_completed`` is the drain, ``on_error`` is fatal.

    Invariants: nothing is delivered from a partition that is not open; ``waiting`` counts the records pushed and
    not begun, ``working`` those begun and not done.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topic: str,
        *,
        outstanding: int,
        lanes: Lanes | None = None,
        revoke_timeout: float = 30.0,
        accept_loss: bool = False,
        warn: Callable[[str], None] = print,
    ) -> None:
        self.consumer = consumer
        self.topic = topic
        self.outstanding = outstanding
        self.lanes = lanes
        self.revoke_timeout = revoke_timeout
        self.accept_loss = accept_loss
        self.warn = warn
        self.loop = asyncio.get_running_loop()
        self.partitions: dict[TopicPartition, Partition] = {}
        self.committer = Committer(consumer, warn)
        self.observer: abc.ObserverBase[Record] | None = None
        self.waiting = self.working = self.late = 0
        self.stopping = False
        self.assigned = asyncio.Event()
        self.room = asyncio.Event()
        self.opening: asyncio.Task[None] | None = None
        self.running: asyncio.Task[None] | None = None
        self.records: Observable[Record] = Observable(self.subscribe)

    def subscribe(
        self, observer: abc.ObserverBase[Record], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        """One observer, for one consumer has one position."""
        del scheduler
        if self.observer is not None:
            raise StreamerError("A Source has one subscriber; put ops.share() behind it.")
        self.observer = observer
        self.running = self.loop.create_task(self.run())
        return Disposable(self.stop)  # a poll is never cancelled: aiokafka would lose count of them

    # --- polling

    async def run(self) -> None:
        """Poll until stopped; what goes wrong for good is the stream's error."""
        assert self.observer is not None
        self.consumer.subscribe([self.topic], listener=self)
        try:
            while not self.stopping:
                await self.turn()
        except ConsumerStoppedError:
            return
        except OffsetOutOfRangeError as error:
            self.fail(LossFound(f"The topic's retention deleted tasks before they were read: {error}"))
        except Exception as error:
            self.fail(error)

    async def turn(self) -> None:
        """One poll, or a wait for room; then a commit if it is time."""
        free = self.outstanding - self.waiting - self.working - (self.lanes.waiting if self.lanes else 0)
        ready = [tp for tp, partition in self.partitions.items() if partition.has_room]
        busy = free < self.outstanding
        patience = self.committer.patience() if busy else IDLE
        polled = {}
        if ready and free >= min(POLL, self.outstanding // 2 or 1):
            polled = await self.consumer.getmany(
                *ready, timeout_ms=max(1, int(patience * 1000)), max_records=min(free, POLL)
            )
        else:
            adapter.check(self.consumer)  # without a poll nobody else would hear of the group's errors
            await self.change(patience)
        if self.stopping:
            return
        self.deliver(polled)
        self.committer.tick(self.partitions.values())

    async def change(self, seconds: float) -> None:
        """Wait until there is room, or something else has changed; at most so long."""
        self.room.clear()
        try:
            await asyncio.wait_for(self.room.wait(), seconds)
        except TimeoutError:
            return

    def deliver(self, polled: dict[TopicPartition, list[object]]) -> None:
        """Push what was polled; positions are read without records too, for they pass over control records."""
        for tp, partition in self.partitions.items():
            if not partition.is_open:
                continue
            position = adapter.position(self.consumer, tp)
            messages = polled.get(tp, ())
            if position is None or (not messages and position == partition.position):
                continue
            for record in partition.deliver(messages, position):  # type: ignore[arg-type]
                if self.lanes is None or self.lanes.enter(record):
                    self.push(record)
        if polled:
            adapter.rotate(self.consumer, polled)

    def push(self, record: Record) -> None:
        assert self.observer is not None
        self.waiting += 1
        self.observer.on_next(record)

    # --- what becomes of records

    def begin(self, record: Record) -> bool:
        """A run slot is free for it; False when it was let go meanwhile."""
        self.waiting -= 1
        if record.partition.begin(record):
            self.working += 1
            return True
        self.leave(record)
        return False

    def answered(self, record: Record) -> bool:
        """It has its result; False when its partition is gone, and the result with it."""
        if record.partition.answer(record):
            return True
        self.late += 1
        self.done(record)
        return False

    def acknowledged(self, records: list[Record]) -> None:
        """Their results are in the output topic: their offsets are finished."""
        for record in records:
            record.partition.finish(record)
        self.working -= len(records)
        if self.lanes is not None:
            for record in records:
                self.leave(record)
        if not self.room.is_set():
            self.room.set()

    def done(self, record: Record) -> None:
        """Nothing of it is under way any more."""
        self.working -= 1
        self.leave(record)
        if not self.working:
            self.room.set()

    def leave(self, record: Record) -> None:
        """Its key is free for the next."""
        if self.lanes is not None:
            following = self.lanes.leave(record)
            if following is not None:
                self.push(following)

    # --- rebalances

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Open them, in a task of their own: until then they are closed, and what they deliver is discarded."""
        self.partitions = {tp: Partition(tp.topic, tp.partition) for tp in sorted(assigned)}
        self.opening = self.loop.create_task(self.open(list(self.partitions.values())))

    async def open(self, partitions: list[Partition]) -> None:
        """Open, and try again while the cluster is not well."""
        wait = 0.1
        while not self.stopping:
            try:
                still = [partition for partition in partitions if not partition.is_open]
                self.committer.identities |= await open_partitions(
                    self.consumer, still, accept_loss=self.accept_loss, warn=self.warn
                )
                break
            except LossFound as error:
                self.fail(error)
                return
            except (KafkaError, OSError, TimeoutError) as error:
                self.warn(f"Partitions can't be opened yet: {type(error).__name__}: {error}")
                await asyncio.sleep(wait)
                wait = min(5.0, 2 * wait)
        self.assigned.set()
        self.room.set()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let go what has not begun, await what runs, commit, and close: all within the revoke's time."""
        del revoked  # rebalances are eager: all of them are
        end = self.loop.time() + self.revoke_timeout
        if self.opening is not None:
            self.opening.cancel()
        leaving = list(self.partitions.values())
        self.let_go()
        while any(partition.is_open and self.under_way(partition) for partition in leaving):
            left = end - self.loop.time()
            if left <= 0:
                self.warn("The rebalance could not wait for all that runs; those results will be dropped.")
                break
            await self.change(min(left, 0.1))
        await self.committer.commit_now(leaving, max(1.0, end - self.loop.time()))
        for partition in leaving:
            partition.close()
        self.partitions = {}

    def let_go(self) -> None:
        """Let go what has not begun; what waits behind its key as well."""
        for partition in self.partitions.values():
            partition.let_go()

    def under_way(self, partition: Partition) -> bool:
        """Whether results of it are still to come."""
        return any(record.state is not LOST for record in partition.ledger.unfinished.values())

    # --- the end

    def fail(self, error: Exception) -> None:
        self.stopping = True
        if self.observer is not None:
            self.observer.on_error(error)

    def stop(self) -> None:
        """Drain: take no more, let go what has not begun, and complete; what runs ends by itself."""
        if self.stopping:
            return
        self.stopping = True
        self.let_go()
        if self.observer is not None:
            self.observer.on_completed()

    async def close(self, seconds: float) -> None:
        """Commit what is finished and leave the group, bounded in time."""
        end = self.loop.time() + seconds
        if not await self.committer.commit_now(self.partitions.values(), seconds):
            self.warn("The last commit was not acknowledged in time; what it held will be run again.")
        stopping = self.loop.create_task(self.consumer.stop())
        await asyncio.wait((stopping,), timeout=max(1.0, end - self.loop.time()))
