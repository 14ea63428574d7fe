"""A model of one worker's records: it uses the objects under test the way source and sink do."""

from random import Random

from streamer.kafka.partition import Partition
from streamer.kafka.record import LOST, IllegalTransition, Record
from streamer.testing.factory import Factory
from streamer.testing.model_opening import Opening
from streamer.testing.report import Report, Violation


class Worker:
    """One owner's memory, which a crash takes away as a whole; every action checks what it sees.

    Checked here: one_result (nothing polled is dropped), holes_survive (nothing finished runs again),
    key_order, and that records are lost and late exactly when they should be.
    """

    outstanding = 150
    mishaps = 0.05

    def __init__(self, factory: Factory, random: Random, report: Report) -> None:
        self.random = random.random
        self.report = report
        self.keyed = report.keyed
        self.lanes = factory.lanes()
        self.openings: dict[Partition, Opening] = {}
        self.assigned: dict[int, Opening] = {}
        self.locked: dict[tuple[int, bytes], Record] = {}
        self.ready: list[Record] = []
        self.running: list[Record] = []
        self.parked: list[Record] = []
        self.answered: list[Record] = []
        self.publishing: list[Record] = []

    @property
    def busy(self) -> int:
        lists = (self.ready, self.running, self.parked, self.answered, self.publishing)
        return sum(map(len, lists)) + self.lanes.waiting

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
        opening.deliver(messages, [record.offset for record in records], position)
        for record in records:
            if not self.keyed or self.lanes.enter(record):
                self.ready.append(record)
            else:
                opening.waiting[record.offset] = record

    def begin(self) -> None:
        if not self.ready:
            return
        record = self._pick(self.ready)
        opening = self.openings[record.partition]
        if not self._runs(opening, record, record.partition.begin(record)):
            return
        opening.admitted.discard(record.offset)
        if self.keyed and record.key is not None:
            lane = (record.partition.number, record.key)
            if lane in self.locked:
                raise Violation("key_order", f"{record!r} begins beside {self.locked[lane]!r}")
            self.locked[lane] = record

    def answer(self) -> None:
        """A coroutine ends, or its record is parked."""
        if not self.running:
            return
        record = self._pick(self.running)
        opening = self.openings[record.partition]
        opening.running -= 1
        if self.random() >= self.mishaps:
            if self._kept(opening, record, record.partition.answer(record)):
                self.answered.append(record)
        elif self._kept(opening, record, record.partition.park(record)):
            opening.parked.add(record.offset)
            self.parked.append(record)
            self.report.parked += 1

    def unpark(self) -> None:
        if not self.parked:
            return
        record = self._pick(self.parked)
        opening = self.openings[record.partition]
        if self._runs(opening, record, record.partition.unpark(record)):
            opening.parked.discard(record.offset)

    def publish(self) -> None:
        if not self.answered:
            return
        record = self._pick(self.answered)
        if self._kept(self.openings[record.partition], record, record.partition.publish(record)):
            self.publishing.append(record)

    def acknowledge(self) -> None:
        """The broker takes a result, or refuses it."""
        if not self.publishing:
            return
        record = self._pick(self.publishing)
        partition, key, offset = record.partition, record.key, record.offset
        opening = self.openings[partition]
        if self.random() < self.mishaps:
            self.report.refused += 1
            if self._kept(opening, record, partition.refuse(record)):
                self.answered.append(record)
            return
        record.message.results += 1
        self.report.results += 1
        if self.keyed and key is not None:
            if opening.published.get(key, -1) >= offset:
                raise Violation("key_order", f"{record!r} is published after {opening.published[key]}")
            opening.published[key] = offset
        if partition.finish(record) == opening.closed:
            raise Violation("finish", f"{record!r} counts: {not opening.closed} is right")
        if not opening.closed:
            opening.pending.discard(offset)
            if self.random() < 0.02:
                self._finish_again(record)
        self.leave(record)

    def rush(self, opening: Opening, left: float) -> list[Record]:
        """Poll while there is room and end all at once; returns those `left`: the first one and a share."""
        kept: list[Record] = []
        while opening.index < len(opening.log.messages) and opening.partition.has_room:
            others, self.ready = self.ready, []
            self.poll(opening, 500)
            fresh, self.ready = self.ready, others
            ending: list[Record] = []
            for record in fresh:
                stays = left and (not kept or self.random() < left)
                (kept if stays else ending).append(record)
            self.through(ending)
        return kept

    def through(self, records: list[Record]) -> None:
        """Bring `records`, which may run, to their ends with nothing in their way."""
        lists = self.ready, self.running, self.answered, self.publishing
        self.ready, self.running, self.answered, self.publishing = records, [], [], []
        self.mishaps = 0.0
        while self.ready:
            self.begin()
            self.answer()
            self.publish()
            self.acknowledge()
        del self.mishaps
        self.ready, self.running, self.answered, self.publishing = lists

    def leave(self, record: Record) -> None:
        if not self.keyed:
            return
        if record.key is not None and self.locked.get((record.partition.number, record.key)) is record:
            del self.locked[record.partition.number, record.key]
        following = self.lanes.leave(record)
        if following is not None:
            if following.state is LOST:
                raise Violation("key_order", f"{following!r} is let in")
            self.openings[following.partition].waiting.pop(following.offset, None)
            self.ready.append(following)

    def _runs(self, opening: Opening, record: Record, began: bool) -> bool:
        if began == opening.is_lost(record.offset):
            raise Violation("lost", f"{record!r} begins: {not began} is right")
        if began:
            opening.running += 1
            self.running.append(record)
        else:
            self.leave(record)
        return began

    def _kept(self, opening: Opening, record: Record, kept: bool) -> bool:
        if kept == opening.closed:
            raise Violation("late", f"{record!r} is kept: {not kept} is right")
        if not kept:
            opening.late += 1
            self.report.late += 1
            if (opening.partition.running, opening.partition.late) != (opening.running, opening.late):
                raise Violation("counts", f"{opening.running} run and {opening.late} are late")
            self.leave(record)
        return kept

    def _finish_again(self, record: Record) -> None:
        if record.partition.ledger.finish(record.offset):
            raise Violation("finish", f"{record!r} is finished twice")
        try:
            record.partition.finish(record)
        except IllegalTransition:
            return
        raise Violation("finish", f"{record!r} is acknowledged twice")

    def _pick(self, records: list[Record]) -> Record:
        at = int(self.random() * len(records))
        records[at], records[-1] = records[-1], records[at]
        return records.pop()
