"""Waiting: the higher priority first, but whoever waits gets older."""

from hypothesis import given
from hypothesis.strategies import booleans, floats, integers, lists, tuples

from streamer.limits import Waiting
from streamer.limits.waiting import AGE, STEPS

COMINGS = lists(tuples(integers(-3, 3), floats(0, 60).map(lambda s: round(s, 1)), booleans()), max_size=60)
"""Of each who comes: the priority, the seconds since the one before, and whether somebody goes first."""


def played(comings) -> list[tuple[int, int, float, float]]:
    """Everybody's number, priority, arrival and going, in the order of going."""
    waiting: Waiting[tuple[int, int, float]] = Waiting()
    now, gone = 0.0, []
    for number, (priority, seconds, one_goes) in enumerate(comings):
        now += seconds
        if one_goes and waiting.alive:
            gone.append((*waiting.popleft(), now))
        waiting.push((number, priority, now), priority, now)
    while waiting.alive:
        gone.append((*waiting.popleft(), now))
    return gone


@given(COMINGS)
def test_everybody_goes_once(comings):
    assert sorted(number for number, *_ in played(comings)) == list(range(len(comings)))


@given(COMINGS)
def test_nobody_starves(comings):
    """Whoever comes later than AGE for each step of priority that he is above, overtakes nobody."""
    gone = played(comings)
    for place, (_, priority, arrived, _) in enumerate(gone):
        for _, above, came, _ in gone[:place]:
            assert came <= arrived + max(0, above - priority) * AGE


@given(COMINGS)
def test_of_equals_the_first_goes_first(comings):
    gone = played(comings)
    for priority in range(-3, 4):
        numbers = [number for number, own, *_ in gone if own == priority]
        assert numbers == sorted(numbers)


@given(COMINGS)
def test_of_those_that_come_together_the_higher_goes_first(comings):
    together = [(priority, 0.0, False) for priority, *_ in comings]
    priorities = [priority for _, priority, *_ in played(together)]
    assert priorities == sorted(priorities, reverse=True)


@given(COMINGS, lists(integers(0, 59), max_size=60))
def test_who_leaves_is_passed_over_and_forgotten(comings, leaving):
    waiting: Waiting[int] = Waiting()
    entries = [waiting.push(number, priority, 0.0) for number, (priority, *_) in enumerate(comings)]
    left = {number for number in leaving if number < len(entries)}
    for number in leaving:
        if number < len(entries):
            waiting.discard(entries[number])
        assert len(waiting.fifo) + len(waiting.heap) <= 2 * waiting.alive + 16
    assert waiting.alive == len(waiting) == len(entries) - len(left)
    assert {waiting.popleft() for _ in range(waiting.alive)} == set(range(len(entries))) - left


def test_while_all_are_equal_it_is_a_plain_queue():
    waiting: Waiting[int] = Waiting()
    for number in range(9):
        waiting.push(number, None, float(number))
    assert not waiting.heap
    assert [waiting.popleft() for _ in range(9)] == list(range(9))


def test_a_priority_beyond_all_measure_counts_as_the_highest():
    waiting: Waiting[str] = Waiting()
    for name, priority in (("low", -(10**400)), ("high", 10**400), ("highest", STEPS)):
        waiting.push(name, priority, 0.0)
    assert [waiting.popleft() for _ in range(3)] == ["high", "highest", "low"]


def test_none_may_wait_as_well():
    waiting: Waiting[None] = Waiting()
    waiting.push(None, 1, 0.0)
    assert (waiting.first(), waiting.popleft(), waiting.alive) == (None, None, 0)
