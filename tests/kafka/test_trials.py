"""Suspects after a crash: every one of them is tried, however late it comes."""

import asyncio
from types import SimpleNamespace

import pytest

from streamer.kafka.dispatcher import Dispatcher
from streamer.kafka.metadata import Trial
from streamer.kafka.partition import Partition
from streamer.kafka.quarantine import Quarantine
from streamer.kafka.record import Record
from streamer.kafka.trials import PATIENCE, Trials, until

pytestmark = pytest.mark.virtual_time


class Committer:
    """Has everything committed as soon as it is asked."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.turns = self
        self.unreachable = False

    def hurry(self) -> None:
        if self.unreachable:
            return
        commit = self.partition.commit()
        assert commit is not None
        self.partition.committed(commit)

    async def wait(self) -> None:
        """Else it is over already."""
        if self.unreachable:
            await asyncio.sleep(1)


def crashed() -> Partition:
    """A partition of which the owner before had begun five, and crashed."""
    partition = Partition("tasks", 0)
    assert partition.open(0, restarted_below=5)
    assert partition.committed(partition.commit())
    partition.suspect(1, None)
    return partition


def delivered(partition: Partition, *offsets: int) -> list[Record]:
    return partition.deliver(
        [SimpleNamespace(offset=offset, key=b"key") for offset in offsets], offsets[-1] + 1
    )


class Court:
    """Trials of one partition, whose tasks end at once."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.quarantine = Quarantine()
        self.answered: list[int] = []
        self.trials = Trials(
            self.quarantine, Committer(partition), lambda: [partition], self.run, lambda: partition.running
        )
        self.quarantine.review()

    def run(self, record: Record) -> None:
        partition = self.partition
        if partition.begin(record) and partition.answer(record) and partition.publish(record):
            partition.finish(record)
            self.answered.append(record.offset)


async def test_a_suspect_that_waited_behind_its_key_is_tried_when_all_others_were():
    """Until the one before it had its result it was not among the suspects, and they seemed to be all."""
    court = Court(crashed())
    first, *_, last = delivered(court.partition, 0, 1, 2, 3, 4)
    assert court.trials.take(first)
    await until(lambda: not court.quarantine.active, 10)
    assert court.trials.take(last)
    await until(lambda: court.answered == [0, 4], 10)
    assert court.answered == [0, 4]


async def test_suspects_that_were_let_go_are_expected_again():
    """A rebalance that brings the partition back begins nothing else before they were delivered again."""
    court = Court(crashed())
    partition = court.partition
    delivered(partition, 0, 1, 2, 3, 4, 5)
    assert not partition.expects_suspects
    partition.suspend()
    assert partition.resume() == 0
    assert partition.expects_suspects
    court.quarantine.review()
    assert court.quarantine.active
    again = delivered(partition, 0, 1, 2, 3, 4, 5)
    assert not partition.expects_suspects
    assert all(court.trials.take(record) for record in again)
    await until(lambda: len(court.answered) == 6, 10)
    assert court.answered == [0, 1, 2, 3, 4, 5]


async def test_only_whom_an_owner_before_accused_is_waited_for():
    """Who is on trial here is not: else each trial lasted that long, where more suspects are than can be read."""
    court = Court(crashed())
    began = court.trials.loop.time()
    for record in delivered(court.partition, 0, 1, 2):
        assert court.trials.take(record)
    assert court.partition.expects_suspects
    await until(lambda: len(court.answered) == 3)
    assert court.trials.loop.time() - began < PATIENCE


async def test_a_suspect_is_not_alone_beside_one_that_was_sent_and_has_not_begun():
    """A rebalance brings suspects while others wait for their slots: if one of those crashes, it is no other's fault."""
    clean, suspect = Partition("tasks", 0), crashed()
    assert clean.open(0)
    assert clean.committed(clean.commit())
    quarantine, sent = Quarantine(), []
    committer = Committer(suspect)
    dispatcher = Dispatcher(
        committer, lambda: [clean, suspect], None, quarantine, outstanding=10, lanes=None, journals=None
    )
    dispatcher.observer = SimpleNamespace(on_next=sent.append)
    (early,) = delivered(clean, 0)
    dispatcher.enter(early)
    quarantine.review()
    first, second, *_ = delivered(suspect, 0, 1, 2, 3, 4)
    dispatcher.enter(first)
    await until(lambda: first in sent, 10)
    assert suspect.checkpoint.tells(Trial(0, alone=False))
    for record in (early, first):
        assert dispatcher.begin(record)
        assert dispatcher.answered(record)
    dispatcher.enter(second)
    await until(lambda: second in sent, 10)
    assert suspect.checkpoint.tells(Trial(1, alone=True))
    dispatcher.trials.close()


async def test_nobody_is_tried_beside_one_whom_the_commit_before_a_rebalance_called_alone():
    """The partition came back, and the broker has what it said before: that is taken back first."""
    court = Court(crashed())
    partition = court.partition
    delivered(partition, 0, 1, 2, 3, 4)
    await court.trials.write(partition, Trial(0, alone=True))
    partition.suspend()
    partition.resume()
    assert partition.suspicion.trial == Trial(0, alone=False)
    await court.trials.write(None, None)
    assert partition.checkpoint.tells(None)


async def test_nothing_else_begins_before_the_last_accusation_is_taken_back():
    """Partitions went meanwhile, and all was looked at anew: who crashes now is not whom a commit calls alone."""
    partition = crashed()
    court = Court(partition)

    def cut_off(record: Record) -> None:
        court.trials.committer.unreachable = True
        court.run(record)

    suspect, *_ = delivered(partition, 0, 1, 2, 3, 4)
    (other,) = delivered(partition, 5)
    court.trials.send = cut_off
    assert court.trials.take(suspect)
    await until(lambda: court.answered and partition.suspicion.trial is None, 10)
    court.quarantine.review()
    assert partition.checkpoint.tells(Trial(0, alone=True))
    assert court.trials.take(other)
    court.trials.committer.unreachable = False
    court.trials.send = court.run
    await until(lambda: court.answered == [0, 5], 10)
    assert court.answered == [0, 5]
