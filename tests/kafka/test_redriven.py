"""What a redrive remembers of one partition."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from streamer.kafka.redriven import LIMIT, Redriven, restored

OFFSETS = st.integers(0, 2_000)


@given(OFFSETS, st.lists(st.tuples(st.booleans(), st.integers(1, 300)), max_size=60))
def test_what_was_committed_is_restored(start: int, runs: list[tuple[bool, int]]) -> None:
    """Offset by offset, whatever the filters left."""
    before = Redriven(start)
    at = start
    for put_back, length in runs:
        for offset in range(at, at + length):
            (before.done if put_back else before.leave)(offset)
        at += length
    metadata = before.encode("id")
    assert metadata is not None
    after = restored(before.frontier, metadata, "id")
    assert after is not None
    assert [after.is_left(offset) for offset in range(at + 3)] == [
        before.is_left(offset) for offset in range(at + 3)
    ]


def test_without_filters_the_offset_alone_says_it() -> None:
    """Nothing is left below it."""
    progress = Redriven(5)
    for offset in (5, 6, 9):
        progress.done(offset)
    assert (progress.frontier, progress.encode("id")) == (10, "streamer-redriven 1 id 10 ")


def test_twenty_thousand_left_at_random_fit() -> None:
    """And what does not fit is not written: to forget it would put dead letters back twice."""
    chance = random.Random(3)
    progress = Redriven(0)
    for offset in range(20_000):
        (progress.done if chance.random() < 0.5 else progress.leave)(offset)
    assert len(progress.encode("id") or "x" * 5_000) <= LIMIT
    for offset in range(20_000, 200_000):
        (progress.done if chance.random() < 0.5 else progress.leave)(offset)
    assert progress.encode("id") is None


def test_a_group_that_was_moved_by_hand_begins_there() -> None:
    """Its offset says it, and no metadata, or metadata of another offset, is asked."""
    progress = Redriven(0)
    progress.leave(3)
    progress.done(4)
    metadata = progress.encode("id") or ""
    for committed, said in ((2, metadata), (2, ""), (2, "anything"), (2, "streamer-redriven 1 id 2 !")):
        found = restored(committed, said, "id")
        assert found is not None
        assert (found.end, found.left) == (2, set())


def test_a_topic_made_anew_has_nothing_put_back() -> None:
    """Its offsets mean other dead letters."""
    assert restored(7, Redriven(7).encode("one") or "", "another") is None


def test_what_the_topic_no_longer_has_is_not_left() -> None:
    """Retention deletes from the beginning."""
    progress = Redriven(0)
    for offset in range(6):
        progress.leave(offset)
    progress.forget_below(4)
    assert (progress.frontier, progress.left, progress.end) == (4, {4, 5}, 6)
    progress.forget_below(9)
    assert (progress.frontier, progress.left, progress.end) == (9, set(), 9)
