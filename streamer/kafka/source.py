"""Where data enters: the one owner of the consumer. It alone polls, seeks and commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, OffsetOutOfRangeError
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from streamer.errors import StreamerError
from streamer.kafka import adapter
from streamer.kafka.assignment import Assignment, end_work
from streamer.kafka.committer import Committer, Committing
from streamer.kafka.growth import Growth
from streamer.kafka.journal.journals import Journals
from streamer.kafka.journal.memory import TaskMemory
from streamer.kafka.lanes import Lanes
from streamer.kafka.ledger import SLACK
from streamer.kafka.opening import Opener
from streamer.kafka.partition import Partition
from streamer.kafka.quarantine import Quarantine
from streamer.kafka.record import ADMITTED, LOST, PARKED, Record
from streamer.kafka.transactions import Transactions
from streamer.kafka.trials import Trials

POLL = SLACK
"""Records a poll takes at most: what the windows leave room for, beyond which metadata might not fit."""
IDLE = 0.5
HEADROOM = 4
"""Offsets that may at least be begun between two commits of a partition; all of them are suspect after a crash."""
IDLERS = 10
PACE = 0.2
"""Seconds over which it is measured how fast a partition's records begin."""
"""So many times ``outstanding`` may be parked, or wait behind their keys, before they count: they hold up nobody."""


class Source:
    """Reads a topic and pushes only what there is room for.

    ``outstanding`` bounds the records between the poll and the acknowledged result, and with that every queue
    behind this one. ``lanes`` keep key order. ``revoke_timeout`` is how many seconds a rebalance waits for what
    runs. With ``transactions`` it is they that commit. ``on_completed`` is the drain, also after what is fatal, which ``failed`` is
    told.

    Invariants: nothing is delivered from a partition that is not open; ``waiting`` counts the records that were
    delivered, hold their key and have not begun; ``working`` those begun and not done, but for the parked.
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
        self.topic = topic
        self.outstanding = outstanding
        self.lanes = lanes
        self.warn = warn
        self.loop = asyncio.get_running_loop()
        self.heartbeats: adapter.Heartbeats
        self.session_timeout = session_timeout
        self.room = asyncio.Event()
        quarantine = quarantine or Quarantine()
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
        self.assignment = Assignment(
            opener,
            self.committer,
            revoke_timeout=revoke_timeout,
            in_group=lambda: adapter.generation(consumer) >= 0,
            changed=self.room,
            opened=self.reopened,
            leave=self.leave_journals,
            release=self.release,
            held=growth.held if growth is not None else None,
            fail=self.fail,
            warn=warn,
        )
        self.journals = journals
        self.quarantine = quarantine
        self.trials = Trials(quarantine, self.committer, self.opened, self.send)
        if transactions is not None:
            transactions.attach(
                self.opened, opener.identities, consumer, self.assignment.reopen, lambda: self.member
            )
        self.observer: abc.ObserverBase[Record] | None = None
        self.waiting = self.working = self.parked = self.late = self.possible_duplicates = 0
        self.flush: Callable[[], object] = lambda: None
        """Told when results that were kept back may go out, or are to be dropped."""
        self.failed: Callable[[Exception], object] = lambda error: warn(str(error))
        """Told what is fatal: no more is read, what runs is still finished."""
        self.paced = 0.0
        self.stopping = False
        self.running: asyncio.Task[None] | None = None
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

    def memory(self, record: Record) -> TaskMemory | None:
        """What its task remembers."""
        return None if self.journals is None else self.journals.memory(record, self.park, self.unpark)

    def opened(self) -> Iterable[Partition]:
        return self.assignment.partitions.values()

    def subscribe(
        self, observer: abc.ObserverBase[Record], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        """One observer, for one consumer has one position."""
        del scheduler
        if self.observer is not None:
            raise StreamerError("A Source has one subscriber; put ops.share() behind it.")
        self.observer = observer
        self.heartbeats = adapter.Heartbeats(self.consumer)
        self.running = self.loop.create_task(self.run())
        return Disposable(self.stop)  # a poll is never cancelled: aiokafka would lose count of them

    # --- polling

    async def run(self) -> None:
        """Poll until stopped; what goes wrong for good is the stream's error."""
        assert self.observer is not None
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
        free = self.free
        ready = [tp for tp, partition in self.partitions.items() if self.wants(partition)]
        busy = free < self.outstanding
        patience = self.committer.patience() if busy else IDLE
        polled = {}
        if ready and free >= self.enough:
            polled = await self.consumer.getmany(
                *ready, timeout_ms=max(1, int(patience * 1000)), max_records=min(free, POLL)
            )
        else:
            adapter.check(self.consumer)  # without a poll nobody else would hear of the group's errors
            await self.change(patience)
        if self.stopping:
            return
        self.deliver(polled)
        self.committer.tick()
        if self.loop.time() >= self.paced:
            self.paced = self.loop.time() + PACE
            for partition in self.opened():
                if partition.is_open:
                    partition.reach.note_pace()
        if self.journals is not None:
            self.journals.tick(self.opened())

    @property
    def free(self) -> int:
        """How many records more may be taken."""
        idle = self.parked + (self.lanes.waiting if self.lanes else 0)
        crowd = max(0, idle - IDLERS * self.outstanding)
        # what is held while suspects are tried must not keep the last of them from being read
        return self.outstanding - self.waiting - self.working - crowd + len(self.trials.held)

    def wants(self, partition: Partition) -> bool:
        """Whether it is to be polled; while suspects are tried, only for more of them."""
        return partition.has_room and (not self.quarantine.active or partition.expects_suspects)

    @property
    def enough(self) -> int:
        """So much must be free for a poll."""
        return min(POLL, self.outstanding // 2 or 1)

    def read_again(self, place: str) -> None:
        """Fetch anew from where a partition stands: what a consumer that has gone silent is helped by, perhaps."""
        for tp, partition in self.partitions.items():
            if partition.is_open and f"{tp.topic}-{tp.partition}" == place:
                adapter.seek(self.consumer, tp, partition.ledger.begin_again())

    async def give_up(self, error: StreamerError, seconds: float) -> None:
        """Take no more, let what runs end for so long, for it is paid for, and then fail."""
        self.stopping = True
        self.let_go()
        end = self.loop.time() + seconds
        while self.working and (left := end - self.loop.time()) > 0:
            await self.change(min(left, 0.5))
        self.fail(error)

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
        """It may run as far as its key goes."""
        self.waiting += 1
        if not self.trials.take(record):
            self.send(record)

    def send(self, record: Record) -> None:
        assert self.observer is not None
        self.observer.on_next(record)

    # --- what becomes of records

    @property
    def member(self) -> bool:
        """Whether the group has heard of it lately; else what it has may be somebody else's by now."""
        unheard = self.heartbeats.unheard()
        return unheard is not None and unheard < self.session_timeout

    async def heard(self, record: Record) -> None:
        """Wait until the group has heard of this worker, or taken the record."""
        while record.state is ADMITTED and not self.member:  # noqa: ASYNC110 - nothing tells of heartbeats
            await asyncio.sleep(0.05)

    async def reached(self, record: Record) -> None:
        """Wait until a commit says that this one may have begun; or it was let go."""
        partition = record.partition
        partition.about_to_begin(record)
        while record.state is ADMITTED and record.offset >= partition.reach.acknowledged:
            self.committer.hurry()
            await self.committer.turn()

    def begin(self, record: Record) -> bool:
        """A run slot is free for it; False when it was let go meanwhile."""
        self.waiting -= 1
        if record.partition.begin(record):
            record.work = asyncio.current_task()
            self.working += 1
            return True
        self.leave(record)
        return False

    def park(self, record: Record) -> None:
        """All that it does is wait for long: it does not count until it goes on."""
        record.partition.park(record)
        self.working -= 1
        self.parked += 1
        self.room.set()

    def unpark(self, record: Record) -> None:
        """It goes on; what was let go meanwhile only ends."""
        if record.partition.unpark(record):
            self.parked -= 1
            self.working += 1

    def answered(self, record: Record) -> bool:
        """It has its result; False when its partition is gone, and the result with it."""
        record.work = None
        if record.state is PARKED:
            self.unpark(record)
        if record.state is LOST:  # it was parked, and let go
            self.parked -= 1
            self.leave(record)
            return False
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

    # --- the end

    def fail(self, error: Exception) -> None:
        """For good: say why, and drain."""
        self.failed(error)
        self.stop()

    def stop(self) -> None:
        """Drain: take no more, let go what has not begun, and complete; what runs ends by itself."""
        if self.stopping:
            return
        self.stopping = True
        self.let_go()
        if self.observer is not None:
            self.observer.on_completed()

    def let_go(self) -> None:
        """Let go what has not begun or is parked."""
        for partition in self.opened():
            partition.let_go()
            for record in partition.records:
                if record.state is LOST:
                    end_work(record)
        self.committer.turn_over()

    async def close(self, seconds: float) -> None:
        """Commit what is finished and leave the group, bounded in time."""
        end = self.loop.time() + seconds
        self.trials.close()
        await self.leave_journals(seconds)
        if not await self.committer.commit_now(list(self.opened()), seconds, leaving=True):
            self.warn("The last commit was not acknowledged in time; what it held will be run again.")
        self.assignment.close()
        stopping = self.loop.create_task(self.consumer.stop())
        await asyncio.wait((stopping,), timeout=max(1.0, end - self.loop.time()))
