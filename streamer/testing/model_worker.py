"""A model of one worker's records: it uses the objects under test the way source and sink do."""

from collections.abc import Callable
from random import Random

from streamer.kafka.partition import Partition
from streamer.kafka.record import ADMITTED, IllegalTransition, Record
from streamer.testing.factory import Factory
from streamer.testing.model_broker import Broker
from streamer.testing.model_journal import Attempt
from streamer.testing.model_opening import Opening
from streamer.testing.model_results import Results
from streamer.testing.model_task import Task
from streamer.testing.model_trials import Trials
from streamer.testing.report import Report, Violation


class Heard:
    """The group hears of every worker: what becomes of one that it doesn't is for tests of membership."""

    def trusts(self, partition: Partition) -> bool:
        del partition
        return True

    async def wait(self, until: Callable[[], bool]) -> None:
        """At once."""


HEARD = Heard()


class Crashed(Exception):
    """A poisonous message has taken its worker down."""

    def __init__(self, record: Record) -> None:
        self.record = record


class Worker(Results):
    """One owner's memory, which a crash takes away as a whole; every action checks what it sees.

    Checked here: one_result (nothing polled is dropped), holes_survive (nothing finished runs again),
    key_order (of what runs), rebalance_keeps_work (nothing is begun twice by one owner), reach (nothing is begun
    that no commit tells of), and that records are lost exactly when they should be.
    """

    outstanding = 150

    def __init__(self, factory: Factory, random: Random, report: Report, broker: Broker) -> None:
        super().__init__(factory, random, report)
        self.factory = factory
        self.broker = broker
        self.trials = Trials(factory, random, self)
        self.assigned: dict[int, Opening] = {}
        self.hurried: Opening | None = None
        """Something waits for a commit of it."""
        self.ready: list[Record] = []
        self.running: list[Record] = []
        self.parked: list[Record] = []

    @property
    def busy(self) -> int:
        lists = (self.ready, self.running, self.parked, self.answered, self.publishing)
        return sum(map(len, lists)) + self.lanes.waiting + self.trials.kept

    def assign(self, opening: Opening) -> None:
        self.openings[opening.partition] = opening
        self.assigned[opening.partition.number] = opening

    def poll(self, opening: Opening, size: int, *, whole: bool = False) -> None:
        """Take up to `size` messages; with `whole`, all that lies behind the last of them, too."""
        partition, log = opening.partition, opening.log
        if (partition.room > 0) != partition.has_room:
            raise Violation("room", f"{partition.room}, though has_room is {partition.has_room}")
        start = opening.index
        stop = start + min(size, partition.room)
        if self.random() < 0.02:
            start = max(0, start - 3)  # some are polled again
        messages = log.messages[start:stop]
        opening.index = max(opening.index, start + len(messages))
        position = messages[-1].offset + 1 if messages else 0
        if whole or self.random() < 0.5:
            position = log.seam(opening.index)
        records = partition.deliver(messages, position)
        opening.deliver(messages, records, position)
        for record in records:
            if not self.keyed or self.lanes.enter(record):
                self.push(record)
            else:
                opening.waiting[record.offset] = record

    def push(self, record: Record) -> None:
        """It may run as far as its key goes."""
        if not self.trials.take(record):
            self.ready.append(record)

    def begin(self) -> None:
        if not self.ready:
            return
        record = self.pick(self.ready)
        partition, offset = record.partition, record.offset
        opening = self.openings[partition]
        partition.about_to_begin(record)
        opening.begun, opening.began = max(opening.begun, offset + 1), True
        if record.state is ADMITTED and offset >= partition.reach.acknowledged:
            self.report.gated += 1
            if self.random() < 0.05:
                self._begin_unreached(record)
            self.ready.append(record)
            self.hurried = opening
            return
        if self.runs(opening, record, partition.begin(record)):
            self._begun(opening, record)
            memory = self.factory.memory(record, opening.channel, HEARD, park=self.park, unpark=self.go_on)
            record.work = Task(opening, memory, self.broker, self.report)
            record.work.go_on()

    def answer(self) -> None:
        """A call ends, its task goes on or is parked, or takes the worker down."""
        if not self.running:
            return
        record = self.pick(self.running)
        task = self._task(record)
        if not task.calling:
            task.go_on()
            if not task.over:
                self.running.append(record)
                return
        else:
            parks = self.random() < self.mishaps
            if record.message.poison and not record.poison and not parks:
                raise Crashed(record)
            task.answered(later=parks)
            if parks:
                task.parked = True
                task.memory.park()
                return
            task.go_on()
            if not task.over:
                self.running.append(record)
                return
        opening = self.openings[record.partition]
        opening.running -= 1
        if self.kept(opening, record, record.partition.answer(record)):
            self.answered.append(record)

    def park(self, record: Record) -> None:
        """All that its task does is wait."""
        opening = self.openings[record.partition]
        opening.running -= 1
        if self.kept(opening, record, record.partition.park(record)):
            opening.parked.add(record.offset)
            self.parked.append(record)
            self.report.parked += 1

    def unpark(self) -> None:
        """One of those goes on."""
        if self.parked:
            self._task(self.pick(self.parked)).memory.unpark()

    def go_on(self, record: Record) -> None:
        """It need not wait any longer."""
        opening = self.openings[record.partition]
        if self.runs(opening, record, record.partition.unpark(record)):
            opening.parked.discard(record.offset)

    def journal(self) -> None:
        """Notes of one of the partitions are written, or what becomes of them is heard."""
        openings = [o for o in self.assigned.values() if o.opened or o.suspended]
        if openings:
            opening = openings[int(self.random() * len(openings))]
            self.promise(opening, opening.channel.write())

    def promise(self, opening: Opening, settled: list[tuple[int, Attempt]]) -> None:
        """These are durable: where the claim holds, they are not paid again."""
        if settled and self.broker.claimed(opening):
            for offset, which in settled:
                message = opening.log.at(offset)
                if message is not None:
                    message.promised |= {which}

    def truncate(self) -> None:
        """Delete what no restore will read of the journals, as far as this worker knows."""
        partitions = [opening.partition for opening in self.assigned.values()]
        for number, to in self.factory.truncation(partitions).items():
            held, topic = self.broker.committed[number], self.broker.journals[number]
            if not self.report.tampered and (held is None or to > (held.marks.low_water or 0)):
                raise Violation("paid_once", f"all below {to} is deleted, and {held} is committed")
            self.report.truncated += max(0, to - topic.beginning)
            topic.delete(to)

    def _task(self, record: Record) -> Task:
        task = record.work
        assert isinstance(task, Task)
        return task

    def _begun(self, opening: Opening, record: Record) -> None:
        offset, number = record.offset, record.partition.number
        opening.admitted.discard(offset)
        if self.keyed and record.key is not None:
            lane = (number, record.key)
            if lane in self.locked:
                raise Violation("key_order", f"{record!r} begins beside {self.locked[lane]!r}")
            self.locked[lane] = record
        if offset in opening.started:
            raise Violation("rebalance_keeps_work", f"{record!r} is begun a second time")
        opening.started.add(offset)
        held = self.broker.committed[number]
        if held is not None and held.nonce == opening.nonce:
            if offset >= held.marks.reach:
                raise Violation("reach", f"{record!r} begins, and {held.marks.reach} is committed")
            trial = held.marks.trial
            named = trial is not None and trial.offset == offset and held.marks.began
            if record.restarted and opening.crashed and not named:
                raise Violation("poison", f"the suspect {record!r} begins, and {held.marks} is committed")
            record.message.begun = True

    def _begin_unreached(self, record: Record) -> None:
        try:
            record.partition.begin(record)
        except IllegalTransition:
            return
        raise Violation("reach", f"{record!r} begins above {record.partition.reach.acknowledged}")

    def runs(self, opening: Opening, record: Record, began: bool) -> bool:
        if began == opening.is_lost(record):
            raise Violation("lost", f"{record!r} begins: {not began} is right")
        if began:
            opening.running += 1
            self.running.append(record)
        else:
            self.leave(record)
        return began
