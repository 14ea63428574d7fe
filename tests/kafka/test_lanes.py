"""What lanes promise: of one key, one at a time, in the order in which they came, and nothing left behind."""

from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamer.kafka.lanes import Lanes
from streamer.kafka.partition import Partition
from streamer.kafka.record import LOST, Record


def record(partition: Partition, offset: int, key: bytes | None) -> Record:
    return Record(partition, SimpleNamespace(offset=offset, key=key))


@pytest.fixture
def lanes() -> Lanes:
    return Lanes()


@pytest.fixture
def partition() -> Partition:
    return Partition("tasks", 0)


def test_the_second_of_a_key_runs_when_the_first_has_left(lanes: Lanes, partition: Partition) -> None:
    first, second = record(partition, 0, b"a"), record(partition, 1, b"a")
    assert lanes.enter(first)
    assert not lanes.enter(second)
    assert lanes.waiting == 1
    assert lanes.leave(first) is second
    assert lanes.waiting == 0
    assert lanes.leave(second) is None
    assert len(lanes) == 0


def test_a_record_without_a_key_is_always_free(lanes: Lanes, partition: Partition) -> None:
    free = [record(partition, offset, None) for offset in range(3)]
    assert all(lanes.enter(one) for one in free)
    assert len(lanes) == 0
    assert [lanes.leave(one) for one in free] == [None] * 3


def test_the_empty_key_is_a_key(lanes: Lanes, partition: Partition) -> None:
    assert lanes.enter(record(partition, 0, b""))
    assert not lanes.enter(record(partition, 1, b""))


def test_the_same_key_in_another_partition_or_topic_is_another_lane(lanes: Lanes) -> None:
    for topic, number in (("tasks", 0), ("tasks", 1), ("others", 0)):
        assert lanes.enter(record(Partition(topic, number), 0, b"a"))


def test_a_key_stays_locked_for_a_new_opening_of_its_partition(lanes: Lanes, partition: Partition) -> None:
    """key_order: the coroutine of the old opening may still run when the partition comes straight back."""
    old, new = record(partition, 0, b"a"), record(Partition("tasks", 0), 0, b"a")
    assert lanes.enter(old)
    assert not lanes.enter(new)
    assert lanes.leave(old) is new


def test_what_was_lost_while_it_waited_is_skipped(lanes: Lanes, partition: Partition) -> None:
    holder, lost, following = (record(partition, offset, b"a") for offset in range(3))
    for one in (holder, lost, following):
        lanes.enter(one)
    lost.state = LOST
    assert lanes.leave(holder) is following


def test_a_key_whose_last_waiters_were_lost_is_free(lanes: Lanes, partition: Partition) -> None:
    holder, lost = record(partition, 0, b"a"), record(partition, 1, b"a")
    lanes.enter(holder)
    lanes.enter(lost)
    lost.state = LOST
    assert lanes.leave(holder) is None
    assert (len(lanes), lanes.waiting) == (0, 0)


def test_who_does_not_hold_a_lane_does_not_free_it(lanes: Lanes, partition: Partition) -> None:
    holder, waiting, stranger = (record(partition, offset, b"a") for offset in range(3))
    lanes.enter(holder)
    lanes.enter(waiting)
    assert lanes.leave(waiting) is None
    assert lanes.leave(stranger) is None
    assert lanes.leave(holder) is waiting


class LanesMachine(RuleBasedStateMachine):
    """Against a plain list per key."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.partitions = [Partition("tasks", 0), Partition("tasks", 1)]
        self.queues: dict[tuple[int, bytes], list[Record]] = {}
        self.offset = 0

    @rule(number=st.integers(0, 1), key=st.sampled_from([b"a", b"b", b"c", None]))
    def enter(self, number: int, key: bytes | None) -> None:
        self.offset += 1
        entering = record(self.partitions[number], self.offset, key)
        queue = self.queues.setdefault((number, key), []) if key else []
        queue.append(entering)
        assert self.lanes.enter(entering) == (queue[0] is entering)

    @rule(number=st.integers(0, 1))
    def open_anew(self, number: int) -> None:
        """What waits of the old opening is lost; what runs goes on."""
        self.partitions[number] = Partition("tasks", number)
        for (owner, _), queue in self.queues.items():
            for waiting in queue[1:] if owner == number else []:
                waiting.state = LOST

    @precondition(lambda self: any(self.queues.values()))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from(sorted(lane for lane, queue in self.queues.items() if queue)))
        holder, *waiting = self.queues[lane]
        while waiting and waiting[0].state is LOST:
            del waiting[0]
        self.queues[lane] = waiting
        assert self.lanes.leave(holder) is (waiting[0] if waiting else None)

    @invariant()
    def nothing_remains_of_a_key_with_nothing_in_it(self) -> None:
        queues = [queue for queue in self.queues.values() if queue]
        assert len(self.lanes) == len(queues)
        assert self.lanes.waiting == sum(len(queue) - 1 for queue in queues)
        assert len(self.lanes._queues) <= len(queues)


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
