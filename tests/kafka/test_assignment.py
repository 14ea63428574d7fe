"""What is assigned is opened in the end, whatever happens to it and when."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.kafka.assignment import REOPENED_AFTER, Assignment
from streamer.testing.clock import run

pytestmark = pytest.mark.virtual_time

ONE, OTHER = TopicPartition("tasks", 0), TopicPartition("tasks", 1)


class Opener:
    """Opens in so many seconds, or fails, or finds that others had it meanwhile, as often as it was told."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.fails = self.foreign = 0
        self.opened = []

    async def open(self, partitions):
        await asyncio.sleep(self.seconds)
        if self.fails:
            self.fails -= 1
            raise KafkaConnectionError
        foreign = []
        for partition in partitions:
            if partition.suspended and self.foreign:
                self.foreign -= 1
                foreign.append(partition)
            elif partition.suspended:
                partition.resume()
            elif partition.open(0, nonce=bytes(8)):
                self.opened.append((asyncio.get_running_loop().time(), partition.number))
        return foreign


class Office:
    """An assignment beside an opener."""

    def __init__(self, seconds=0.0):
        async def nothing(*_, **__):
            """All is committed, and noted."""

        turns = SimpleNamespace(over=lambda: None)
        self.opener = Opener(seconds)
        self.said, self.released = [], []
        self.looks = self.losses = 0
        self.assignment = Assignment(
            self.opener,
            SimpleNamespace(turns=turns, hurry=lambda: None, commit_now=nothing),
            revoke_timeout=1,
            in_group=lambda: False,
            losses=lambda: self.losses,
            changed=asyncio.Event(),
            opened=lambda: None,
            leave=nothing,
            release=self.released.append,
            held=self.held,
            fail=self.said.append,
            warn=self.said.append,
        )

    async def held(self, partitions):
        """The second one, for some looks."""
        self.looks -= 1
        return [p for p in partitions if p.number == 1] if self.looks >= 0 else []

    def open(self):
        return {tp.partition: partition.is_open for tp, partition in self.assignment.partitions.items()}


async def test_a_partition_that_was_lost_while_it_was_suspended_is_opened_anew():
    """A worker was frozen: it is revoked, its transaction is fenced, and then it is given the partition again."""
    office = Office()
    assignment = office.assignment
    await assignment.on_partitions_assigned([ONE])
    await assignment.opening
    lost = assignment.partitions[ONE]
    await assignment.on_partitions_revoked([ONE])
    assignment.reopen(lost)
    await assignment.on_partitions_assigned([ONE])
    await assignment.opening
    assert office.open() == {0: True}
    assert assignment.partitions[ONE] is not lost


@pytest.mark.parametrize("seconds", [0.5, 2, 5])
async def test_one_that_was_lost_while_others_are_opened_waits_its_time_and_is_opened(seconds):
    office = Office(seconds)
    assignment = office.assignment
    await assignment.on_partitions_assigned([ONE, OTHER])
    await asyncio.sleep(seconds / 2)
    assignment.reopen(assignment.partitions[ONE])
    lost_at = asyncio.get_running_loop().time()
    await asyncio.sleep(60)
    assert office.open() == {0: True, 1: True}
    (opened_at,) = [at for at, number in office.opener.opened if number == 0]
    assert opened_at >= lost_at + REOPENED_AFTER
    assert office.said == ["tasks-0: another worker had it meanwhile; it is read anew."]


async def test_a_partition_is_overdue_until_it_is_open_but_not_while_it_is_held_back():
    office = Office(1)
    assignment = office.assignment
    office.looks = 4
    seen = []
    await assignment.on_partitions_assigned([ONE, OTHER])
    while not assignment.opening.done():
        seen.append(tuple(partition.number for partition in assignment.overdue()))
        await asyncio.sleep(0.5)
    assert list(dict.fromkeys(seen)) == [(0, 1), (0,), (), (1,)]
    assert assignment.overdue() == []


async def test_a_partition_is_trusted_as_of_when_its_opening_began():
    """Who is put out of the group meanwhile does not know what the next one did."""
    office = Office(5)
    assignment = office.assignment
    office.losses = 1
    await assignment.on_partitions_assigned([ONE])
    await asyncio.sleep(1)
    office.losses = 2
    await assignment.opening
    assert assignment.partitions[ONE].trusted == 1
    await assignment.on_partitions_revoked([ONE])
    await assignment.on_partitions_assigned([ONE])
    assert assignment.partitions[ONE].trusted == 1
    await assignment.opening
    assert assignment.partitions[ONE].trusted == 2


STEPS = st.lists(
    st.sampled_from(
        ["assign", "assign one", "revoke", "lose", "lose a former one", "fail", "foreign", "hold back"]
    )
    | st.sampled_from([0.01, 0.3, 1.0, 3.0]),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from([0.0, 0.2, 1.5, 4.0]))
def test_whatever_happens_what_is_assigned_is_open_in_the_end(steps, seconds):
    async def walk():
        office = Office(seconds)
        assignment, former = office.assignment, []
        for step in steps:
            partitions = list(assignment.partitions.values())
            match step:
                case "assign" | "assign one":
                    await assignment.on_partitions_revoked(list(assignment.partitions))
                    await assignment.on_partitions_assigned([ONE, OTHER][: 1 + (step == "assign")])
                case "revoke":
                    await assignment.on_partitions_revoked(list(assignment.partitions))
                case "lose" if partitions:
                    assignment.reopen(partitions[0])
                case "lose a former one" if former:
                    assignment.reopen(former[len(former) // 2])
                case "fail":
                    office.opener.fails += 2
                case "hold back":
                    office.looks = 5
                case "foreign":
                    office.opener.foreign += 1
                case float():
                    await asyncio.sleep(step)
            former += [partition for partition in partitions if partition not in former]
        await asyncio.sleep(200)
        assert all(office.open().values())
        assert assignment.opening is None or assignment.opening.done()
        open_ones = set(assignment.partitions.values())
        assert not any(partition.is_open for partition in former if partition not in open_ones)

    run(walk())
