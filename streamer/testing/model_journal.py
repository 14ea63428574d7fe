"""A model of a journal's topic, and of the ways in which an owner's notes get there: in time, late, or never."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from streamer.events import Outcome
from streamer.kafka.journal.entries import Noted, decode
from streamer.kafka.journal.log import SHARE, Log
from streamer.testing.report import Report, Violation

if TYPE_CHECKING:
    from streamer.testing.model_opening import Opening

A_FEW = 8
"""In place of `log.FEW`: simulated tasks have few notes, and these are to grow old as well."""
MUCH = 10**6

Attempt = tuple[str, int]
Notes = dict[int, dict[Attempt, tuple[bytes, int]]]
"""What is noted of tasks, by their offsets: of each attempt its digest, and where its last record is."""


class JournalTopic:
    """One partition of it: records that are deleted from below, and batches that nobody waits for any more."""

    def __init__(self) -> None:
        self.beginning = self.end = 0
        self.values: dict[int, bytes] = {}
        self.late: list[tuple[Channel, list[bytes]]] = []

    def append(self, values: Sequence[bytes]) -> int:
        """Returns the position of the first."""
        base = self.end
        self.values.update(enumerate(values, base))
        self.end += len(values)
        return base

    def delete(self, to: int) -> None:
        for position in range(self.beginning, to):
            del self.values[position]
        self.beginning = max(self.beginning, to)

    def arrive(self, index: int) -> None:
        """One of the late batches is written after all."""
        channel, values = self.late.pop(index)
        channel.arrive(values)


class Channel:
    """One opening's way into the journal, with everything that may happen to its batches.

    ``notes`` are those that count for an owner that comes after a commit of this one: what it found, and what it
    wrote. Checked here: that the journal stays as short as unfinished work allows (bounded).
    """

    def __init__(
        self, opening: Opening, log: Log, topic: JournalTopic, random: Random, report: Report
    ) -> None:
        self.opening = opening
        self.log = log
        self.topic = topic
        self.random = random.random
        self.report = report
        self.notes: Notes = {}
        self.unheard: set[tuple[int, Attempt]] = set()
        """Those of them of which no answer was heard: its owner does not know where they are, if anywhere."""
        self.closed = False
        self.marked_late = False
        """Another marker of it came late: where its time began can only be told from its notes."""
        self.batch: list[bytes] = []
        self.tickets: list[tuple[int, int, Attempt]] = []

    def note(self, offset: int, outcome: Outcome) -> int:
        ticket = self.log.note(offset, outcome)
        self.tickets.append((ticket, offset, (outcome.path, outcome.number)))
        return ticket

    async def settle(self, ticket: int) -> None:
        """Nobody waits here: who wants to go on looks again."""

    def mark(self) -> None:
        """Write the marker, however often that takes."""
        while self.log.marker is None:
            self.batch = [value for _, value in self.log.take(MUCH)]
            self._answer(0.2)

    def write(self, failing: float = 0.15) -> list[tuple[int, Attempt]]:
        """Take a batch, or hear what became of the last one; returns what is acknowledged now."""
        if self.batch:
            self._answer(failing)
        elif not self.closed and self.log.waiting:
            size = MUCH if self.random() < 0.7 else 400
            self.batch = [value for _, value in self.log.take(size)]
            return [] if self.batch else self._settled()
        return self._settled()

    def flush(self) -> list[tuple[int, Attempt]]:
        """Write all, and well."""
        settled = []
        while self.batch or (self.log.waiting and not self.closed):
            settled += self.write(0.0)
        return settled

    def arrive(self, values: list[bytes], *, heard: bool = False) -> int:
        """The broker appends them, whoever has the partition now."""
        base = self.topic.append(values)
        for position, value in enumerate(values, base):
            entry = decode(value)
            if isinstance(entry, Noted):
                which = (entry.outcome.path, entry.outcome.number)
                task = self.notes.setdefault(entry.offset, {})
                if heard:
                    self.unheard.discard((entry.offset, which))
                elif which not in task:
                    self.unheard.add((entry.offset, which))
                task[which] = (entry.outcome.digest, position)
            elif entry is None:
                raise Violation("journal", f"{value!r} can't be read")
        return base

    def close(self) -> None:
        """Nothing is written any more, but what is under way may arrive."""
        self.closed = True
        if self.batch and self.random() < 0.7:
            self.topic.late.append((self, self.batch))
        self.batch = []

    def forget(self, frontier: int) -> None:
        """Below it all is finished, and committed: to whoever comes next it makes no difference."""
        if len(self.notes) > 100:
            self.notes = {offset: task for offset, task in self.notes.items() if offset >= frontier}
            self.unheard = {note for note in self.unheard if note[0] >= frontier}

    def check(self, unfinished: Callable[[int], bool]) -> None:
        """With nothing on its way, only so much is kept as is needed."""
        log = self.log
        if self.batch or log.waiting:
            return
        needed = sum(len(task) for offset, task in self.notes.items() if unfinished(offset))
        if log.end - log.low_water > max(A_FEW, SHARE * needed):
            raise Violation(
                "bounded", f"{log.low_water} to {log.end} are kept, and {needed} of them are needed"
            )

    def _answer(self, failing: float) -> None:
        batch, self.batch = self.batch, []
        chance = self.random()
        if chance >= failing:
            self.log.written(self.arrive(batch, heard=True))
            self.report.journaled += len(batch)
            return
        self.report.unjournaled += 1
        if chance < 0.25 * failing and len(batch) > 1:
            self.log.refused()  # too large, all together
            return
        if chance < 0.5 * failing:
            self.arrive(batch)  # its answer is lost
        elif chance < 0.75 * failing:
            self.topic.late.append((self, batch))
            self.marked_late |= self.log.marker is None
        self.log.failed()

    def _settled(self) -> list[tuple[int, Attempt]]:
        """What is durable now and was not before, but for what is not needed any more."""
        log, settled = self.log, []
        while self.tickets and log.settled(self.tickets[0][0]):
            _, offset, which = self.tickets.pop(0)
            if log.remembers(offset):
                settled.append((offset, which))
        return settled
