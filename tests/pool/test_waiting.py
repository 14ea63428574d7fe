"""Who is next: higher priority first, and nobody waits for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.pool.waiting import AGE, Waiting


def popped(waiting):
    return [waiting.popleft() for _ in range(len(waiting))]


def test_of_equal_priority_the_first_come_is_the_first_served():
    waiting = Waiting()
    for item in "abc":
        waiting.push(item, 0, 0.0)
    assert popped(waiting) == ["a", "b", "c"]


def test_higher_priority_goes_first():
    waiting = Waiting()
    for item, priority in (("low", -1), ("none", 0), ("high", 7)):
        waiting.push(item, priority, 0.0)
    assert popped(waiting) == ["high", "none", "low"]


@pytest.mark.parametrize(("later", "first"), [(AGE * 2.9, "high"), (AGE * 3.1, "old")])
def test_a_level_of_priority_is_worth_so_many_seconds(later, first):
    waiting = Waiting()
    waiting.push("old", 0, 0.0)
    waiting.push("high", 3, later)
    assert waiting.popleft() == first


@given(
    st.lists(st.tuples(st.sampled_from(["push", "pop", "discard"]), st.integers(-3, 3), st.integers(0, 50)))
)
def test_what_was_discarded_never_comes_out_and_takes_no_room(steps):
    waiting, here, number, now = Waiting(), [], 0, 0.0
    for step, priority, choice in steps:
        now += 1.0
        if step == "push":
            here.append((now - priority * AGE, number, waiting.push(number, priority, now)))
            number += 1
        elif here and step == "pop":
            here.sort()
            assert waiting.popleft() == here.pop(0)[1]
        elif here:
            waiting.discard(here.pop(choice % len(here))[2])
        assert len(waiting) == len(here)
        assert len(waiting.heap) <= 2 * len(here) + 16 or step != "discard"
    assert popped(waiting) == [item for _, item, _ in sorted(here)]
