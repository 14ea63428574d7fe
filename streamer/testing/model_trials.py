"""A model of one process's trials, step by step, with the decisions of the real ones."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from streamer.kafka.metadata import Trial
from streamer.kafka.partition import Partition
from streamer.kafka.record import ADMITTED, RUNNING, Record
from streamer.testing.factory import Factory
from streamer.testing.model_opening import Opening

if TYPE_CHECKING:
    from streamer.testing.model_worker import Worker


class Trials:
    """Keeps suspects, and while there are any everything else, and lets them run one by one."""

    def __init__(self, factory: Factory, random: Random, worker: Worker) -> None:
        self.factory = factory
        self.random = random.random
        self.worker = worker
        self.suspects: list[Record] = []
        self.held: list[Record] = []
        self.watched: Record | None = None
        self.charged: Trial | None = None
        self.sent = False
        self.ending = False
        self.active = False
        self.own: Trial | None = None
        """The last trial held here, which may still be committed."""
        self.clearing = False
        """That nobody is on trial is being written; what comes meanwhile waits for it."""

    @property
    def kept(self) -> int:
        return len(self.suspects) + len(self.held) + (self.watched is not None and not self.sent)

    @property
    def openings(self) -> list[Opening]:
        return [opening for opening in self.worker.assigned.values() if opening.opened]

    @property
    def occupied(self) -> int:
        return len(self.worker.running) + len(self.worker.ready)

    def review(self) -> None:
        suspects = self.suspects or self.watched or self.own
        self.active = bool(suspects) or any(o.partition.expects_suspects for o in self.openings)

    def take(self, record: Record) -> bool:
        """Whether it is kept here for now."""
        if record.restarted and record.partition.suspicion.crashed:
            self.suspects.append(record)
            self.active = True
        elif self.active:
            self.held.append(record)
        else:
            return False
        return True

    def admits(self, opening: Opening) -> bool:
        """Whether it is polled: while suspects are tried, only for more of them."""
        return not self.active or opening.partition.expects_suspects

    def step(self) -> None:
        """Whatever can be done next without waiting."""
        if self.watched is not None:
            self._go_on(self.watched)
        elif self.suspects and not self.clearing:
            self._summon()
        elif self.active or self.held:
            self.clearing = not self._write(None, None)
            if not self.clearing:
                self.own = None
                self.review()
            if not self.active:
                self.worker.ready += self.held
                self.held = []

    def _summon(self) -> None:
        accused = any(self._accused(record) for record in self.suspects)
        awaited = any(
            o.partition.suspicion.trial not in (None, self.own) and o.partition.expects_suspects
            for o in self.openings
        )
        if awaited and not accused and self.random() < 0.9:
            return
        record = self.factory.foremost(self.suspects)
        self.suspects.remove(record)
        if record.state is not ADMITTED:  # it was let go
            self.worker.ready.append(record)
            return
        self.watched, self.charged, self.sent = record, None, False
        self.ending = self._accused(record) or self._patience(record.partition) is None
        self.worker.report.trials += 1

    def _go_on(self, record: Record) -> None:
        if self.charged is None:
            if self.ending and self.occupied and record.state is ADMITTED:
                return
            self.charged = self.factory.charge(record, occupied=self.occupied)
            self.own = self.charged
        if not self.sent:
            if self._write(record.partition, self.charged):
                self.sent = True
                self.worker.ready.append(record)
        elif record.state is RUNNING:
            if not self.ending and self.random() < 0.1:
                self.watched = None
        elif record.state is not ADMITTED:
            self.watched = None

    def _write(self, accused: Partition | None, trial: Trial | None) -> bool:
        """Whether all commits say who is on trial, and that nobody else is."""
        whole = True
        for opening in self.openings:
            partition = opening.partition
            partition.put_on_trial(trial if partition is accused else None)
            opening.began = opening.began or partition is accused
            if not partition.checkpoint.tells(partition.suspicion.trial):
                whole = False
                self.worker.hurried = opening
        return whole

    def _accused(self, record: Record) -> bool:
        trial = record.partition.suspicion.trial
        return trial is not None and trial.offset == record.offset

    def _patience(self, partition: Partition) -> float | None:
        suspects = sum(opening.partition.suspicion.suspects for opening in self.openings)
        return self.factory.trial_time(partition.suspicion.level, suspects)
