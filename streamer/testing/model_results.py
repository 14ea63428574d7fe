"""A model of how one worker's records end: answered, published, acknowledged or refused, and out of their lanes."""

from abc import ABC, abstractmethod
from random import Random

from streamer.kafka.partition import Partition
from streamer.kafka.record import LOST, IllegalTransition, Record
from streamer.testing.factory import Factory
from streamer.testing.model_opening import Opening
from streamer.testing.report import Report, Violation


class Results(ABC):
    """What was answered, on its way to the output topic.

    Checked here: key_order (of what is published), poison (only what is poisonous is written off), and that records
    are late exactly when they should be.
    """

    mishaps = 0.05

    def __init__(self, factory: Factory, random: Random, report: Report) -> None:
        self.random = random.random
        self.report = report
        self.keyed = report.keyed
        self.lanes = factory.lanes()
        self.openings: dict[Partition, Opening] = {}
        self.locked: dict[tuple[int, bytes], Record] = {}
        self.answered: list[Record] = []
        self.publishing: list[Record] = []

    @abstractmethod
    def push(self, record: Record) -> None:
        """Its lane is free."""

    def publish(self) -> None:
        """Send a result; while its partition is suspended it is kept."""
        if not self.answered:
            return
        record = self.pick(self.answered)
        if self.openings[record.partition].suspended:
            self.answered.append(record)
        elif self.kept(self.openings[record.partition], record, record.partition.publish(record)):
            self.publishing.append(record)

    def sweep(self) -> None:
        """Drop what was answered and has no partition any more."""
        if not self.answered:
            return
        record = self.pick(self.answered)
        opening = self.openings[record.partition]
        if not opening.closed:
            self.answered.append(record)
        elif self.kept(opening, record, record.partition.publish(record)):
            raise Violation("late", f"{record!r} is sent")

    def acknowledge(self) -> None:
        """The broker takes a result, or refuses it."""
        if not self.publishing:
            return
        record = self.pick(self.publishing)
        if self.random() < self.mishaps:
            self.report.refused += 1
            self.refuse(record)
            return
        self.arrive(record)
        key, offset = record.key, record.offset
        opening = self.openings[record.partition]
        if self.keyed and key is not None:
            if opening.published.get(key, -1) >= offset:
                raise Violation("key_order", f"{record!r} is published after {opening.published[key]}")
            opening.published[key] = offset
        self.finish(record)

    def arrive(self, record: Record) -> None:
        """Its result is in the output topic."""
        message = record.message
        message.results += 1
        self.report.results += 1
        if record.poison:
            self.report.dead_letters += 1
            if not message.poison and message.unjust < 3:
                raise Violation("poison", f"{record!r} is healthy, and a dead letter")

    def refuse(self, record: Record) -> None:
        """Its result, or a smaller one, is to be sent again."""
        if self.kept(self.openings[record.partition], record, record.partition.refuse(record)):
            self.answered.append(record)

    def finish(self, record: Record) -> None:
        opening = self.openings[record.partition]
        if record.partition.finish(record) == opening.closed:
            raise Violation("finish", f"{record!r} counts: {not opening.closed} is right")
        if not opening.closed:
            opening.pending.pop(record.offset, None)
            opening.started.discard(record.offset)
            if self.random() < 0.02:
                self._finish_again(record)
        self.leave(record)

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
            self.push(following)

    def kept(self, opening: Opening, record: Record, kept: bool) -> bool:
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

    def pick(self, records: list[Record]) -> Record:
        at = int(self.random() * len(records))
        records[at], records[-1] = records[-1], records[at]
        return records.pop()
