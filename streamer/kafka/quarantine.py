"""Suspects: what was under way when its worker crashed is tried by itself, before anything else runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from streamer.kafka.metadata import Marks, Trial
from streamer.kafka.record import Record

CRASHES = 3
"""So often a task may take its worker down, alone, before it is a dead letter."""
STRICT = 6
"""From this level on every trial lasts until the suspect has ended."""
SPAN, SHORTEST, LONGEST, LONGER = 5.0, 0.02, 1.0, 3.0


def after_crash(marks: Marks) -> tuple[int, Trial | None]:
    """The level at which suspects are to be tried now, and who is accused; ``marks`` are the last owner's.

    Only a crash while a suspect was alone counts against it. One while it had company accuses it all the same: it
    is the first to be tried, and alone until it has ended. Where that was unjust and the first of all suspects still
    is among them, so that nothing has moved, the trials of the others are longer.
    Where the owner left in good order, or had begun nothing yet, its trials go on as they were.
    """
    trial = marks.trial
    if marks.level == 0 and not marks.left:
        return 1, None
    if marks.left or not marks.began:
        # Not alone yet with this owner: else its trial would pass for written before that says that it begins.
        return marks.level, trial._replace(alone=False) if trial is not None else None
    if trial is not None and trial.alone:
        return marks.level, Trial(trial.offset, trial.crashes + 1)
    return (1 if marks.moved else min(STRICT, marks.level + 1)), trial


def trial_time(level: int, suspects: int) -> float | None:
    """Seconds that each of so many is watched, before the next one joins it; None is until it has ended."""
    if level >= STRICT:
        return None
    return min(LONGEST, max(SHORTEST, SPAN / max(1, suspects))) * LONGER ** (level - 1)


def accusation(record: Record) -> Trial | None:
    """The trial in which it was when its worker crashed."""
    trial = record.partition.suspicion.trial
    return trial if trial is not None and trial.offset == record.offset else None


def foremost(suspects: Sequence[Record]) -> Record:
    """Who is tried next: the accused, else the one that came first."""
    return next(filter(accusation, suspects), suspects[0])


def charge(record: Record, *, occupied: int) -> Trial:
    """What is to be written before it begins, beside so many that run; too often accused, it is `poison`."""
    accused = accusation(record)
    crashes = accused.crashes if accused is not None else 0
    record.poison = crashes >= CRASHES
    return Trial(record.offset, crashes, alone=not occupied)


class Member(Protocol):
    """What a quarantine knows of one of the workers."""

    @property
    def suspicious(self) -> bool:
        """It has suspects that were not tried yet, or does not know them all."""
        ...

    @property
    def occupied(self) -> int:
        """How many tasks run, or may begin any moment."""
        ...


class Quarantine:
    """All workers of a process, for a crash takes all of them down: one trial at a time.

    While it is ``active`` there are suspects somewhere, and nothing else begins.
    """

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.turn = asyncio.Lock()
        self.active = False

    def join(self, member: Member) -> None:
        self.members.append(member)

    def leave(self, member: Member) -> None:
        self.members.remove(member)
        self.review()

    def review(self) -> None:
        """Whether there are suspects left, or new ones."""
        self.active = any(member.suspicious for member in self.members)

    @property
    def occupied(self) -> int:
        return sum(member.occupied for member in self.members)
