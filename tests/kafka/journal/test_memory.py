"""What one task is told and may tell."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from streamer.kafka.journal.channel import Channel
from streamer.kafka.journal.entries import Noted
from streamer.kafka.journal.log import Log
from streamer.kafka.journal.memory import TaskMemory
from streamer.kafka.partition import Partition
from tests.kafka.journal.outcomes import outcome

MUCH = 10**6
pytestmark = pytest.mark.virtual_time


class Task:
    """A record at offset 7 that runs, with its memory; the test is the writer."""

    def __init__(self, *, again: bool = False, known: bool = False) -> None:
        self.partition = Partition("t", 0)
        self.partition.open(0, restarted_below=8 if again else 0)
        (self.record,) = self.partition.deliver([SimpleNamespace(offset=7, key=None)], 8)
        self.partition.committed(self.partition.commit())
        self.partition.begin(self.record)
        self.woken = 0
        self.log = Log(b"me------", b"origin--", None)
        self.channel = Channel(0, self.log, self.wake)
        self.log.take(MUCH)
        self.log.written(5)
        if known:
            self.log.restore(3, Noted(b"other---", b"origin--", 1, 7, outcome(1)))
        self.told: list[Any] = []
        self.valid = True
        self.group = asyncio.Event()
        self.memory = TaskMemory(
            self.record,
            self.channel,
            self,
            park=lambda record: self.told.append(("park", record)),
            unpark=lambda record: self.told.append(("unpark", record)),
        )

    def trusts(self, partition: Partition) -> bool:
        return self.valid and partition is self.partition

    async def wait(self, until: Callable[[], bool]) -> None:
        while not until():
            self.group.clear()
            await self.group.wait()

    def wake(self) -> None:
        self.woken += 1

    def write(self) -> int:
        records = self.log.take(MUCH)
        if records:
            self.log.written(self.log.end)
        self.channel.settled()
        return len(records)


async def test_a_new_task_knows_nothing() -> None:
    memory = Task().memory
    assert (memory.restarted, memory.unsettled, memory.gone) == (False, False, False)
    assert memory.recall("a", 1) is None
    await memory.settle()


async def test_a_task_that_was_begun_before_is_restarted() -> None:
    """As its owner says, or as the journal shows."""
    assert Task(again=True).memory.restarted
    memory = Task(known=True).memory
    assert memory.restarted
    assert memory.recall("a", 1) == outcome(1)
    assert memory.recall("a", 2) is memory.recall("b", 1) is None


async def test_who_settles_waits_until_all_it_noted_is_durable() -> None:
    """And hurries the writer, which else lets notes gather."""
    task = Task()
    task.memory.note(outcome(1))
    task.memory.note(outcome(2, number=2))
    assert task.memory.unsettled
    assert task.woken == 0
    assert task.memory.held_by is None
    settling = task.channel.loop.create_task(task.memory.settle())
    while not task.woken:
        await task.channel.loop.create_task(nothing())
    assert not settling.done()
    assert task.memory.held_by == "journal"
    assert task.write() == 2
    await settling
    assert not task.memory.unsettled


async def nothing() -> None:
    """One turn of the loop."""


async def test_a_closed_channel_lets_go_who_waits() -> None:
    """The task is gone then, and begins no further call."""
    task = Task()
    task.memory.note(outcome())
    settling = task.channel.loop.create_task(task.memory.settle())
    await task.channel.loop.create_task(nothing())
    task.channel.close()
    await settling
    assert task.memory.gone


async def test_who_is_out_of_its_group_is_unsure_until_the_group_has_heard_of_it() -> None:
    """What it noted being durable says nothing of whose task this is."""
    task = Task()
    task.valid = False
    assert (task.memory.unsure, task.memory.unsettled) == (True, False)
    settling = task.channel.loop.create_task(task.memory.settle())
    await task.channel.loop.create_task(nothing())
    assert not settling.done()
    assert task.memory.held_by == "group"
    task.valid = True
    task.group.set()
    await settling
    assert (task.memory.unsure, task.memory.held_by) == (False, None)


async def test_who_waits_for_the_group_ends_with_its_partition() -> None:
    task = Task()
    task.valid = False
    settling = task.channel.loop.create_task(task.memory.settle())
    await task.channel.loop.create_task(nothing())
    task.partition.close()
    task.group.set()
    await settling
    assert task.memory.gone


async def test_a_task_whose_partition_was_taken_is_gone() -> None:
    """Not while it may come back: it goes on then, and so do its notes."""
    task = Task()
    task.partition.suspend()
    assert not task.memory.gone
    task.memory.note(outcome())
    assert task.write() == 1
    task.partition.close()
    assert task.memory.gone


async def test_nothing_is_noted_of_a_task_that_has_its_result() -> None:
    """A straggler of it may still end a call; nobody would ever forget that."""
    task = Task()
    task.partition.answer(task.record)
    assert task.memory.gone
    task.memory.note(outcome())
    assert not task.log.remembers(7)


async def test_parking_is_passed_on() -> None:
    task = Task()
    task.memory.park()
    task.memory.unpark()
    assert task.told == [("park", task.record), ("unpark", task.record)]


async def test_notes_gather_for_a_moment() -> None:
    """Then the writer is woken once for all of them; those that come while it writes wait for its answer."""
    task = Task()
    for serial in range(50):
        task.channel.note(7, outcome(serial, number=serial))
    await task.channel.flush(0.001)
    assert (task.channel.due, task.log.settled(task.log.ticket)) == (True, False)
    assert task.write() == 50
    assert await task.channel.flush(0.001)
