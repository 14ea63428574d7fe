"""Where data enters: the one owner of the consumer. It alone polls, seeks and commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from streamer.errors import StreamerError
from streamer.kafka import adapter
from streamer.kafka.assignment import Assignment, end_work
from streamer.kafka.committer import Committer, Committing
from streamer.kafka.dispatcher import Dispatcher
from streamer.kafka.growth import Growth
from streamer.kafka.journal.journals import Journals
from streamer.kafka.lanes import Lanes
from streamer.kafka.membership import Membership
from streamer.kafka.opening import Opener
from streamer.kafka.partition import Partition
from streamer.kafka.poller import Poller
from streamer.kafka.quarantine import Quarantine
from streamer.kafka.record import LOST, Record
from streamer.kafka.transactions import Transactions

HEADROOM = 4
"""Offsets that may at least be begun between two commits of a partition; all of them are suspect after a crash."""


class Source:
    """Reads a topic and pushes only what there is room for.

    What it is made of has files of its own: which partitions are ours (`assignment`), what is polled (`poller`),
    which records may run and which do (`dispatcher`), what is committed (`committer`). ``revoke_timeout`` is how
    many seconds a rebalance waits for what runs. With ``transactions`` it is they that commit. ``on_completed`` is
    the drain, also after what is fatal, which ``failed`` is told.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topic: str,
        *,
        outstanding: int,
        concurrency: int = 100,
        lanes: Lanes | None = None,
        session_timeout: float = 10.0,
        revoke_timeout: float = 30.0,
        accept_loss: bool = False,
        quarantine: Quarantine | None = None,
        transactions: Transactions | None = None,
        journals: Journals | None = None,
        warn: Callable[[str], None] = print,
    ) -> None:
        self.consumer = consumer
        self.journals = journals
        self.warn = warn
        self.loop = asyncio.get_running_loop()
        self.quarantine = quarantine or Quarantine()
        self.membership = Membership(consumer, session_timeout)
        opener = Opener(
            consumer,
            accept_loss=accept_loss,
            headroom=max(HEADROOM, concurrency // 10),
            warn=warn,
            fence=transactions.fence if transactions is not None else None,
            restore=journals.restore if journals is not None else None,
        )
        growth = None
        if lanes is not None and journals is not None:
            growth = Growth(consumer, journals.count, warn)
        self.committer: Committing = transactions or Committer(consumer, self.opened, opener.identities, warn)
        self.dispatcher = Dispatcher(
            self.committer,
            self.opened,
            self.membership,
            self.quarantine,
            outstanding=outstanding,
            lanes=lanes,
            journals=journals,
        )
        self.assignment = Assignment(
            opener,
            self.committer,
            revoke_timeout=revoke_timeout,
            in_group=lambda: adapter.generation(consumer) >= 0,
            losses=lambda: self.membership.heartbeats.losses,
            changed=self.dispatcher.room,
            opened=self.reopened,
            leave=self.leave_journals,
            release=self.release,
            held=growth.held if growth is not None else None,
            fail=self.fail,
            warn=warn,
        )
        self.poller = Poller(
            consumer,
            topic,
            self.assignment,
            self.committer,
            self.dispatcher,
            self.quarantine,
            journals,
            self.fail,
        )
        if transactions is not None:
            transactions.attach(
                self.opened,
                opener.identities,
                consumer,
                self.assignment.reopen,
                lambda: self.membership.valid,
            )
        self.flush: Callable[[], object] = lambda: None
        """Told when results that were kept back may go out, or are to be dropped."""
        self.failed: Callable[[Exception], object] = lambda error: warn(str(error))
        """Told what is fatal: no more is read, what runs is still finished."""
        self.completed = False
        self.records: Observable[Record] = Observable(self.subscribe)

    @property
    def partitions(self) -> dict[TopicPartition, Partition]:
        return self.assignment.partitions

    def reopened(self) -> None:
        """Partitions came, or went for good."""
        self.quarantine.review()
        self.flush()

    async def leave_journals(self, seconds: float) -> None:
        """What was noted is durable before the partitions may be somebody else's."""
        if self.journals is not None:
            await self.journals.flush(min(seconds, 5.0))

    def release(self, partition: Partition) -> None:
        if self.journals is not None:
            self.journals.release(partition)

    def opened(self) -> Iterable[Partition]:
        return self.assignment.partitions.values()

    def subscribe(
        self, observer: abc.ObserverBase[Record], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        """One observer, for one consumer has one position."""
        del scheduler
        if self.dispatcher.observer is not None:
            raise StreamerError("A Source has one subscriber; put ops.share() behind it.")
        self.dispatcher.observer = observer
        self.membership.begin()
        self.poller.begin()
        return Disposable(self.stop)

    # --- the end

    def fail(self, error: Exception) -> None:
        """For good: say why, and drain."""
        self.failed(error)
        self.stop()

    def stop(self) -> None:
        """Drain: take no more, let go what has not begun, and complete; what runs ends by itself."""
        if self.completed:
            return
        self.completed = True
        self.take_no_more()
        if self.dispatcher.observer is not None:
            self.dispatcher.observer.on_completed()

    async def give_up(self, error: StreamerError, seconds: float) -> None:
        """Take no more, let what runs end for so long, for it is paid for, and then fail."""
        self.take_no_more()
        end = self.loop.time() + seconds
        while self.dispatcher.working and (left := end - self.loop.time()) > 0:
            await self.dispatcher.change(min(left, 0.5))
        self.fail(error)

    def take_no_more(self) -> None:
        """Poll no more, and let go what has not begun or is parked."""
        self.poller.stopping = True
        for partition in self.opened():
            partition.let_go()
            for record in partition.records:
                if record.state is LOST:
                    end_work(record)
        self.committer.turns.over()

    async def close(self, seconds: float) -> None:
        """Commit what is finished and leave the group, bounded in time."""
        end = self.loop.time() + seconds
        self.dispatcher.trials.close()
        self.membership.end()
        await self.leave_journals(seconds)
        if not await self.committer.commit_now(list(self.opened()), seconds, leaving=True):
            self.warn("The last commit was not acknowledged in time; what it held will be run again.")
        self.assignment.close()
        stopping = self.loop.create_task(self.consumer.stop())
        await asyncio.wait((stopping,), timeout=max(1.0, end - self.loop.time()))
