"""What one assigned partition promises, step by step and as a whole."""

from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamer.kafka.metadata import Identity, decode
from streamer.kafka.partition import Partition
from streamer.kafka.record import (
    ACKNOWLEDGED,
    ADMITTED,
    ANSWERED,
    LOST,
    PARKED,
    PUBLISHING,
    RECEIVED,
    RUNNING,
    TRANSITIONS,
    IllegalTransition,
    Record,
    State,
)

HERE = Identity("cluster", "topic")
STEPS = {
    "begin": (ADMITTED, RUNNING),
    "answer": (RUNNING, ANSWERED),
    "park": (RUNNING, PARKED),
    "unpark": (PARKED, RUNNING),
    "publish": (ANSWERED, PUBLISHING),
    "refuse": (PUBLISHING, ANSWERED),
    "finish": (PUBLISHING, ACKNOWLEDGED),
}


def messages(*offsets: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(offset=offset, key=None) for offset in offsets]


def opened(frontier: int = 0, finished=(), **options) -> Partition:
    partition = Partition("tasks", 0)
    assert partition.open(frontier, finished, **options)
    assert partition.committed(partition.commit())  # the first, which pins it
    return partition


def through(partition: Partition, record: Record) -> bool:
    """The whole way of one record."""
    return (
        partition.begin(record)
        and partition.answer(record)
        and partition.publish(record)
        and partition.finish(record)
    )


def only(partition: Partition, state: State) -> Record:
    """A record in `state`, the only one of `partition`."""
    (record,) = partition.deliver(messages(0), 1)
    ways = {
        RECEIVED: [],
        ADMITTED: [],
        RUNNING: ["begin"],
        PARKED: ["begin", "park"],
        ANSWERED: ["begin", "answer"],
        PUBLISHING: ["begin", "answer", "publish"],
        ACKNOWLEDGED: ["begin", "answer", "publish", "finish"],
        LOST: [],
    }
    for step in ways[state]:
        assert getattr(partition, step)(record)
    if state is LOST:
        partition.let_go()
    if state is RECEIVED:
        record.state = RECEIVED
    assert record.state is state
    return record


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", State)
def test_every_step_agrees_with_the_table_of_transitions(state: State, step: str) -> None:
    partition = opened()
    record = only(partition, state)
    source, target = STEPS[step]
    if state is source:
        assert target in TRANSITIONS[source]
        assert getattr(partition, step)(record)
        assert record.state is target
    elif state is LOST and step in ("begin", "unpark", "answer"):
        assert not getattr(partition, step)(record)
    else:
        with pytest.raises(IllegalTransition, match=f"offset 0: {state.name} -> {target.name}"):
            getattr(partition, step)(record)
        assert record.state is state


def test_the_table_has_no_transition_that_no_step_takes() -> None:
    taken = set(STEPS.values()) | {(RECEIVED, ADMITTED)}
    taken |= {(state, LOST) for state in State if state not in (RECEIVED, ACKNOWLEDGED, LOST)}
    assert {(source, target) for source, targets in TRANSITIONS.items() for target in targets} == taken


def test_an_illegal_transition_says_where_it_happened() -> None:
    partition = opened()
    record = only(partition, ADMITTED)
    with pytest.raises(IllegalTransition) as caught:
        partition.finish(record)
    assert (caught.value.offset, caught.value.source, caught.value.target) == (0, ADMITTED, ACKNOWLEDGED)


def test_a_partition_is_closed_until_it_is_opened() -> None:
    """Records are delivered while the assignment is still being worked out."""
    partition = Partition("tasks", 0)
    assert partition.deliver(messages(0, 1), 2) == []
    assert (partition.is_open, partition.has_room, partition.room) == (False, False, 0)
    assert partition.commit() is None
    assert partition.let_go() == 0


def test_a_partition_that_was_closed_before_it_was_opened_stays_closed() -> None:
    partition = Partition("tasks", 0)
    partition.close()
    assert not partition.open(0)
    assert not partition.is_open


def test_a_partition_is_opened_once() -> None:
    partition = opened()
    with pytest.raises(ValueError, match="tasks-0 is open"):
        partition.open(0)


def test_a_record_goes_all_the_way() -> None:
    partition = opened(5)
    (record,) = partition.deliver(messages(5), 6)
    assert (record.partition, record.offset, record.state) == (partition, 5, ADMITTED)
    assert (partition.frontier, len(partition.records), partition.running) == (5, 1, 0)
    partition.begin(record)
    assert partition.running == 1
    partition.answer(record)
    assert partition.running == 0
    partition.publish(record)
    assert partition.frontier == 5
    assert partition.finish(record)
    assert (partition.frontier, len(partition.records), partition.ledger.window) == (6, 0, 0)


def test_no_commit_ahead_of_an_acknowledgement() -> None:
    partition = opened()
    record, _ = partition.deliver(messages(0, 1), 2)
    for step in ("begin", "answer", "publish"):
        getattr(partition, step)(record)
        assert partition.commit() is None
    partition.finish(record)
    assert partition.commit().frontier == 1


def test_a_refused_result_is_sent_again_or_another_in_its_place() -> None:
    partition = opened()
    record = only(partition, PUBLISHING)
    assert partition.refuse(record)
    assert partition.frontier == 0
    assert partition.publish(record)
    assert partition.finish(record)
    assert partition.frontier == 1


def test_a_parked_record_is_a_hole_that_does_not_run() -> None:
    partition = opened()
    record = only(partition, PARKED)
    assert (partition.running, len(partition.records), partition.frontier) == (0, 1, 0)
    assert partition.unpark(record)
    assert partition.running == 1


def test_holes_survive_a_crash() -> None:
    partition = opened(nonce=b"12345678")
    records = partition.deliver(messages(0, 1, 2, 5), 6)
    for record in records[1:]:
        through(partition, record)
    commit = partition.commit()
    restored = decode(commit.metadata(HERE), HERE, commit.frontier)
    assert restored.nonce == b"12345678"
    again = opened(restored.frontier, restored.finished)
    assert [record.offset for record in again.deliver(messages(0, 1, 2, 5, 6), 7)] == [0, 6]
    assert through(again, again.ledger.unfinished[0])
    assert again.frontier == 6


def test_holes_survive_a_second_crash_that_comes_before_they_are_read_again() -> None:
    partition = opened(0, [(10, 20)])
    (record, _) = partition.deliver(messages(0, 1), 2)
    through(partition, record)
    commit = partition.commit()
    assert decode(commit.metadata(HERE), HERE, 1).finished == ((10, 20),)


def test_let_go_loses_what_has_not_begun_and_what_is_parked() -> None:
    partition = opened()
    records = partition.deliver(messages(0, 1, 2, 3), 4)
    admitted, running, parked, answered = records
    for record in records[1:]:
        partition.begin(record)
    partition.park(parked)
    partition.answer(answered)
    assert partition.let_go() == 2
    assert partition.lost == 2
    assert not partition.begin(admitted)
    assert not partition.unpark(parked)
    assert partition.answer(running)
    assert partition.publish(answered)
    assert partition.let_go() == 0


def test_what_comes_back_begins_nothing_before_a_commit_of_it_is_acknowledged() -> None:
    """The leaving commit, which promised less, may count though nobody has heard of that."""
    partition = opened(headroom=10)
    (record,) = partition.deliver(messages(0), 1)
    partition.commit(leaving=True)
    partition.suspend()
    assert partition.resume() == 0
    (record,) = partition.deliver(messages(0), 1)
    with pytest.raises(IllegalTransition):
        partition.begin(record)
    assert partition.committed(partition.commit())
    assert partition.begin(record)


def test_what_was_parked_and_let_go_is_known_to_have_begun() -> None:
    partition = opened()
    (parked,) = partition.deliver(messages(0), 1)
    partition.begin(parked)
    partition.park(parked)
    partition.let_go()
    assert partition.commit(leaving=True).marks.reach == 1


def test_there_is_room_for_lost_ones_in_a_window_that_is_full() -> None:
    partition = opened()
    while partition.has_room:
        partition.deliver(
            messages(*range(partition.position, partition.position + 500)), partition.position + 500
        )
    unfinished = len(partition.records)
    partition.suspend()
    assert partition.resume() == 0
    assert partition.room == unfinished
    partition.deliver(messages(*range(unfinished)), unfinished)
    assert not partition.has_room


def test_suspects_are_the_unfinished_offsets_below_the_reach() -> None:
    partition = opened(5, [(6, 7)], restarted_below=8)
    partition.suspect(1, None)
    assert (partition.suspicion.suspects, partition.suspicion.level) == (2, 1)


def test_what_was_let_go_stays_unfinished() -> None:
    partition = opened()
    lost, done = partition.deliver(messages(0, 1), 2)
    partition.begin(done)
    partition.let_go()
    assert partition.answer(done)
    assert partition.publish(done)
    assert partition.finish(done)
    assert (lost.state, partition.frontier, len(partition.records)) == (LOST, 0, 1)


@pytest.mark.parametrize(
    ("state", "step"),
    [(RUNNING, "answer"), (RUNNING, "park"), (ANSWERED, "publish"), (PUBLISHING, "refuse")],
)
def test_what_comes_after_the_close_is_dropped_and_counted(state: State, step: str) -> None:
    partition = opened()
    record = only(partition, state)
    partition.close()
    assert not getattr(partition, step)(record)
    assert (record.state, partition.late, partition.running) == (LOST, 1, 0)


def test_an_acknowledgement_after_the_close_does_not_count() -> None:
    partition = opened()
    record = only(partition, PUBLISHING)
    partition.close()
    assert not partition.finish(record)
    assert (record.state, partition.late, partition.frontier) == (LOST, 0, 0)


def test_a_closed_partition_admits_and_commits_nothing() -> None:
    partition = opened()
    waiting, done = partition.deliver(messages(0, 1), 2)
    through(partition, done)
    partition.close()
    assert partition.deliver(messages(2), 3) == []
    assert partition.commit() is None
    assert not partition.begin(waiting)
    assert (partition.lost, partition.has_room) == (1, False)


def test_a_record_of_an_older_assignment_is_not_finished_by_a_newer_one() -> None:
    record = only(opened(), PUBLISHING)
    with pytest.raises(ValueError, match="tasks-0@0 PUBLISHING"):
        opened().finish(record)


def test_there_is_nothing_to_commit_until_something_is_finished() -> None:
    partition = opened(3)
    assert partition.commit() is None
    (record,) = partition.deliver(messages(3), 4)
    assert partition.commit() is None
    through(partition, record)
    assert partition.commit().frontier == 4


def test_an_opening_is_pinned_by_its_first_commit() -> None:
    """So that whoever had it before sees that somebody else had it meanwhile."""
    partition = Partition("tasks", 0)
    partition.open(3, nonce=b"12345678")
    commit = partition.commit()
    assert (commit.frontier, commit.nonce) == (3, b"12345678")
    partition.committed(commit)
    assert partition.commit() is None


def test_control_records_at_the_end_are_worth_a_commit() -> None:
    partition = opened(3)
    partition.deliver([], 5)
    assert partition.commit().frontier == 5


def test_what_finishes_above_the_frontier_is_worth_a_commit() -> None:
    partition = opened()
    _, record = partition.deliver(messages(0, 1), 2)
    through(partition, record)
    commit = partition.commit()
    assert (commit.frontier, commit.end, commit.holes) == (0, 2, ())


def test_a_commit_is_repeated_until_it_is_acknowledged() -> None:
    partition = opened()
    through(partition, *partition.deliver(messages(0), 1))
    commit = partition.commit()
    assert partition.commit() == commit
    assert partition.committed(commit)
    assert partition.commit() is None


def test_a_stale_acknowledgement_leaves_what_was_finished_since_to_be_committed() -> None:
    partition = opened()
    first, second = partition.deliver(messages(0, 1), 2)
    through(partition, first)
    stale = partition.commit()
    through(partition, second)
    partition.committed(stale)
    assert partition.commit().frontier == 2


def test_of_two_acknowledgements_out_of_order_the_last_counts() -> None:
    partition = opened()
    first, second = partition.deliver(messages(0, 1), 2)
    through(partition, first)
    older = partition.commit()
    through(partition, second)
    newer = partition.commit()
    partition.committed(newer)
    partition.committed(older)
    assert partition.commit() == newer


def test_an_acknowledgement_of_another_opening_does_not_count() -> None:
    old, new = opened(nonce=b"old old "), opened(nonce=b"new new ")
    for partition in (old, new):
        through(partition, *partition.deliver(messages(0), 1))
    assert not new.committed(old.commit())
    assert new.commit() is not None


def test_a_commit_is_one_value_sampled_once() -> None:
    partition = opened()
    first, *others = partition.deliver(messages(0, 1, 2, 3), 4)
    through(partition, others[1])
    commit = partition.commit()
    text = commit.metadata(HERE)
    for record in (first, *others[::2]):
        through(partition, record)
    assert commit.metadata(HERE) == text
    assert decode(text, HERE, commit.frontier).finished == ((2, 3),)


class PartitionMachine(RuleBasedStateMachine):
    """Any steps in any order, as the states of the records allow, with a close at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.partition = opened(100)
        self.records: list[Record] = []
        self.done: set[int] = set()
        self.late = self.lost = 0
        self.open = True
        self.clean = (100, 0)

    @property
    def unfinished(self) -> list[Record]:
        return [record for record in self.records if record.offset not in self.done]

    @property
    def frontier(self) -> int:
        return min((record.offset for record in self.unfinished), default=self.position)

    @property
    def position(self) -> int:
        return self.partition.position

    @rule(steps=st.lists(st.integers(1, 3), max_size=4))
    def deliver(self, steps: list[int]) -> None:
        offsets = [self.position + sum(steps[:count]) for count in range(len(steps))]
        records = self.partition.deliver(messages(*offsets), offsets[-1] + 2 if offsets else 0)
        assert [record.offset for record in records] == (offsets if self.open else [])
        self.records += records

    @precondition(lambda self: self.records)
    @rule(data=st.data(), step=st.sampled_from(sorted(STEPS)))
    def take(self, data: st.DataObject, step: str) -> None:
        record = data.draw(st.sampled_from(self.records))
        before = record.state
        source, target = STEPS[step]
        try:
            taken = getattr(self.partition, step)(record)
        except IllegalTransition:
            assert before is not source
            assert record.state is before
            return
        assert taken == (before is source and self.open)
        assert record.state is (target if taken else LOST)
        if not taken and before is not LOST:
            self.late += step != "finish"
        if taken and step == "finish":
            self.done.add(record.offset)

    @rule()
    def let_go(self) -> None:
        going = [r for r in self.records if r.state in (ADMITTED, PARKED)]
        assert self.partition.let_go() == len(going)
        self.lost += len(going)

    @rule()
    def close(self) -> None:
        self.lost += len([r for r in self.records if r.state in (ADMITTED, PARKED)])
        self.partition.close()
        self.open = False

    @rule(arrives=st.booleans())
    def commit(self, arrives: bool) -> None:
        commit = self.partition.commit()
        state = (self.frontier, len(self.done))
        assert (commit is None) == (state == self.clean or not self.open)
        if commit is not None:
            assert commit.frontier == self.frontier
            said = decode(commit.metadata(HERE), HERE, commit.frontier).finished
            unfinished = {record.offset for record in self.unfinished}
            assert not unfinished & {offset for interval in said for offset in range(*interval)}
            if arrives:
                self.partition.committed(commit)
                self.clean = state

    @invariant()
    def counts_add_up(self) -> None:
        partition = self.partition
        assert len(partition.records) == len(self.records) - len(self.done)
        assert partition.running == sum(record.state is RUNNING for record in self.records)
        assert (partition.late, partition.lost) == (self.late, self.lost)

    @invariant()
    def no_commit_ahead(self) -> None:
        assert self.partition.frontier == self.frontier


TestPartition = PartitionMachine.TestCase
TestPartition.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
