"""What a ledger promises, against sets of offsets."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streamer.kafka.ledger import SLACK, SPARSE_UNFINISHED, SPARSE_WINDOW, WINDOW, Ledger
from streamer.kafka.record import ADMITTED


def records(*offsets: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(offset=offset, state=ADMITTED) for offset in offsets]


def test_a_new_ledger_has_its_frontier_at_its_position() -> None:
    ledger = Ledger(7)
    assert (ledger.frontier, ledger.position, ledger.window, ledger.holes) == (7, 7, 0, [])


def test_the_frontier_is_the_lowest_unfinished_offset() -> None:
    ledger = Ledger(0)
    ledger.deliver(records(0, 1, 2, 3), 4)
    assert ledger.frontier == 0
    assert ledger.finish(1)
    assert ledger.frontier == 0
    assert ledger.finish(0)
    assert ledger.frontier == 2
    assert ledger.holes == [3]


def test_what_the_log_no_longer_has_is_counted_and_passed_over_while_the_rest_goes_on() -> None:
    ledger = Ledger(0, [(6, 8), (12, 14)])
    running, lost = records(0, 1)
    ledger.deliver([running, lost], 2)
    ledger.lose(lost)
    assert ledger.missing(13) == 1 + 4 + 4
    ledger.skip(13)
    assert (ledger.missing(13), ledger.frontier, ledger.position) == (0, 0, 14)
    ledger.finish(0)
    assert ledger.frontier == 14


def test_the_frontier_is_the_position_when_nothing_is_unfinished() -> None:
    ledger = Ledger(0)
    ledger.deliver(records(0), 1)
    ledger.finish(0)
    assert ledger.frontier == 1
    ledger.deliver([], 3)
    assert ledger.frontier == 3


def test_a_gap_inside_of_a_poll_is_finished() -> None:
    ledger = Ledger(0)
    ledger.deliver(records(0, 9), 10)
    ledger.finish(0)
    assert ledger.frontier == 9


def test_a_gap_at_the_seam_of_two_polls_is_finished() -> None:
    """Whether the consumer tells of it with the first poll or with the second."""
    for position in (1, 5):
        ledger = Ledger(0)
        ledger.deliver(records(0), position)
        ledger.deliver(records(5), 6)
        ledger.finish(0)
        assert ledger.frontier == 5
        assert ledger.holes == []


def test_control_records_behind_the_last_record_are_passed() -> None:
    ledger = Ledger(0)
    ledger.deliver(records(0), 1)
    ledger.finish(0)
    ledger.deliver([], 2)
    assert ledger.frontier == 2


def test_a_position_that_is_not_behind_the_last_record_is_refused() -> None:
    """Records from before a seek with the position from after it: what lies between would be taken for a gap."""
    ledger = Ledger(10)
    with pytest.raises(ValueError, match="position 10 is not behind the last record, 60"):
        ledger.deliver(records(50, 60), 10)
    assert (ledger.position, ledger.holes, ledger.delivered) == (10, [], 0)


def test_a_position_never_goes_back() -> None:
    ledger = Ledger(5)
    ledger.deliver([], 3)
    assert ledger.position == 5


@pytest.mark.parametrize("offset", [2, 7, 100])
def test_to_finish_an_unknown_offset_does_nothing(offset: int) -> None:
    ledger = Ledger(5)
    ledger.deliver(records(5, 6), 8)
    assert not ledger.finish(offset)
    assert (ledger.frontier, ledger.holes) == (5, [6])


def test_an_offset_is_finished_once() -> None:
    ledger = Ledger(0)
    ledger.deliver(records(0), 1)
    assert ledger.finish(0)
    assert not ledger.finish(0)


def test_what_was_restored_as_finished_is_not_fresh() -> None:
    ledger = Ledger(10, [(11, 13), (15, 16)])
    assert [r.offset for r in ledger.fresh(records(10, 11, 12, 13, 14, 15, 16))] == [10, 13, 14, 16]


def test_what_was_delivered_is_not_fresh() -> None:
    ledger = Ledger(0)
    ledger.deliver(records(0, 1), 2)
    assert [r.offset for r in ledger.fresh(records(0, 1, 2))] == [2]


def test_what_was_lost_is_fresh_again_and_takes_the_place_that_it_had() -> None:
    ledger = Ledger(0)
    first, second, third = records(0, 1, 2)
    ledger.deliver([first, second, third], 3)
    ledger.finish(0)
    ledger.lose(second)
    assert ledger.begin_again() == 1
    again = ledger.fresh(records(0, 1, 2, 3))
    assert [r.offset for r in again] == [1, 3]
    ledger.deliver(again, 4)
    assert (list(ledger.unfinished), ledger.finished, ledger.begin_again()) == ([1, 2, 3], 1, 4)


def test_all_below_an_offset_that_is_not_known_to_be_finished_is_counted() -> None:
    assert Ledger(5).unfinished_below(8) == 3
    assert Ledger(5, [(6, 7)]).unfinished_below(8) == 2
    assert Ledger(5).unfinished_below(5) == 0


class Unread(dict[int, SimpleNamespace]):
    """Records that nobody is to look through."""

    def items(self):
        raise AssertionError("every unfinished record is looked at")


def test_where_nothing_was_lost_that_is_known_without_a_look_at_every_record() -> None:
    """Each poll of a partition with suspects asks."""
    ledger = Ledger(0)
    ledger.deliver(records(0, 1), 2)
    ledger.unfinished = Unread(ledger.unfinished)
    assert ledger.begins_again_at == 2


def test_what_is_lost_is_counted_until_it_is_read_again_or_finished() -> None:
    ledger = Ledger(0)
    polled = records(0, 1, 2)
    ledger.deliver(polled, 3)
    for record in polled:
        ledger.lose(record)
    assert (ledger.lost, ledger.begins_again_at) == (3, 0)
    ledger.deliver(records(0, 1), 2)
    assert (ledger.lost, ledger.begins_again_at) == (1, 2)
    ledger.skip(3)
    assert (ledger.lost, ledger.begins_again_at) == (0, 3)


@pytest.mark.parametrize(
    ("finishing", "frontier", "holes"),
    [({0}, 1, [2, 4, 5]), ({1}, 0, [2, 4, 5]), ({0, 1, 2}, 4, [5]), (set(), 0, [1, 2, 4, 5])],
)
def test_what_will_be_left_once_some_more_are_finished(finishing, frontier, holes) -> None:
    ledger = Ledger(0, [(3, 4), (6, 8)])
    ledger.deliver(records(0, 1, 2), 3)
    assert ledger.without(finishing) == (frontier, holes)


def test_what_was_restored_right_at_the_position_is_stepped_over() -> None:
    """Otherwise a commit would call the frontier itself unfinished, though it is finished."""
    ledger = Ledger(10, [(11, 13)])
    ledger.deliver(records(10), 11)
    ledger.finish(10)
    assert (ledger.frontier, ledger.position) == (13, 13)


def test_what_was_restored_and_not_reached_yet_is_still_to_be_committed() -> None:
    ledger = Ledger(10, [(12, 14), (17, 20)])
    ledger.deliver(records(10), 11)
    assert ledger.end == 20
    assert ledger.holes == [11, 14, 15, 16]


def test_a_window_up_to_the_reach_of_a_bitset_has_room() -> None:
    ledger = Ledger(0)
    ledger.deliver(records(*range(WINDOW)), WINDOW)
    assert ledger.has_room
    assert ledger.room == SLACK
    ledger.deliver(records(WINDOW), WINDOW + 1)
    assert not ledger.has_room
    assert ledger.room == 0


def test_a_wider_window_has_room_while_few_are_unfinished() -> None:
    ledger = Ledger(0)
    ledger.deliver(records(*range(SPARSE_UNFINISHED)), SPARSE_WINDOW - 1)
    assert ledger.has_room
    assert ledger.room == SLACK
    ledger.deliver(records(SPARSE_WINDOW - 1), SPARSE_WINDOW)
    assert not ledger.has_room
    ledger.finish(1)
    assert not ledger.has_room
    ledger.finish(0)
    assert ledger.has_room


def test_the_first_of_very_many_gone_ones_is_looked_up_once() -> None:
    """A dict walks over what was deleted in front of its first key; the answer is remembered."""
    ledger = Ledger(0)
    ledger.deliver(records(*range(20_000)), 20_000)
    for offset in range(19_999):
        ledger.finish(offset)
    assert ledger.frontier == ledger._frontier == 19_999
    ledger.unfinished = None
    assert ledger.frontier == 19_999


class LedgerMachine(RuleBasedStateMachine):
    """Polls with gaps and repeats, finishing in any order, from any restored state."""

    @initialize(
        frontier=st.integers(0, 2**40),
        runs=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=8),
    )
    def open(self, frontier: int, runs: list[tuple[int, int]]) -> None:
        self.intervals, self.restored, at = [], set(), frontier
        for gap, length in runs:
            self.intervals.append((at + gap, at + gap + length))
            at += gap + length
            self.restored.update(range(*self.intervals[-1]))
        self.ledger = Ledger(frontier, self.intervals)
        self.pending: set[int] = set()
        self.delivered: list[int] = []
        self.position = frontier
        self.lowest = frontier

    @rule(steps=st.lists(st.integers(1, 5), max_size=8), behind=st.integers(0, 4), again=st.integers(0, 5))
    def poll(self, steps: list[int], behind: int, again: int) -> None:
        offsets, at = self.delivered[-again:] if again else [], self.position - 1
        for step in steps:
            at += step
            offsets = [*offsets, at]
        position = at + 1 + behind
        fresh = self.ledger.fresh(records(*offsets))
        expected = [o for o in offsets if o >= self.position and o not in self.restored]
        assert [record.offset for record in fresh] == expected
        self.ledger.deliver(fresh, position)
        self.delivered += expected
        self.pending.update(expected)
        self.position = max(self.position, position)
        while self.position in self.restored:
            self.position += 1

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.pending)))
        assert self.ledger.finish(offset)
        assert not self.ledger.finish(offset)
        self.pending.remove(offset)

    @invariant()
    def every_other_offset_below_the_position_is_finished(self) -> None:
        ledger = self.ledger
        assert ledger.position == self.position
        finished = set(range(ledger.frontier, ledger.position)) - self.pending
        finished |= {offset for offset in self.restored if offset > ledger.position}
        assert ledger.end == max([ledger.position, *(offset + 1 for offset in finished)])
        assert ledger.holes == [o for o in range(ledger.frontier + 1, ledger.end) if o not in finished]
        assert list(ledger.unfinished) == sorted(self.pending)
        assert ledger.finished == len(self.delivered) - len(self.pending)

    @invariant()
    def the_frontier_is_the_lowest_unfinished_and_never_goes_back(self) -> None:
        assert self.ledger.frontier == min(self.pending, default=self.position)
        assert self.ledger.window == self.position - self.ledger.frontier
        assert self.ledger.frontier >= self.lowest
        self.lowest = self.ledger.frontier


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@settings(max_examples=40, deadline=None)
@given(
    unfinished=st.integers(1, WINDOW + SLACK + 1),
    width=st.integers(0, SPARSE_WINDOW + 5),
)
def test_there_is_room_exactly_where_one_of_the_two_rules_holds(unfinished: int, width: int) -> None:
    ledger = Ledger(0)
    ledger.deliver(records(*range(unfinished)), max(width, unfinished))
    dense = ledger.window <= WINDOW
    sparse = ledger.window < SPARSE_WINDOW and unfinished <= SPARSE_UNFINISHED
    assert ledger.has_room == (dense or sparse) == (ledger.room >= SLACK) == (ledger.room > 0)
