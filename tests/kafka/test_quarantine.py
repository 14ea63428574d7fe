"""Who is accused after a crash, and for how long suspects are watched."""

import pytest

from streamer.kafka.metadata import Marks, Trial
from streamer.kafka.quarantine import LONGEST, SHORTEST, SPAN, STRICT, after_crash, trial_time


@pytest.mark.parametrize(
    ("marks", "level", "trial"),
    [
        (Marks(10), 1, None),
        (Marks(10, level=2, trial=Trial(5, 1, alone=True), began=True), 2, Trial(5, 2)),
        (Marks(10, level=2, trial=Trial(5, 1), began=True), 3, Trial(5, 1)),
        (Marks(10, level=2, trial=Trial(5, 1), moved=True, began=True), 1, Trial(5, 1)),
        (Marks(10, level=2, began=True), 3, None),
        (Marks(10, level=STRICT, began=True), STRICT, None),
        (Marks(10, level=2, trial=Trial(5, 1, alone=True)), 2, Trial(5, 1)),
        (Marks(10, level=2, trial=Trial(5, 1, alone=True), left=True), 2, Trial(5, 1)),
    ],
    ids=[
        "the first crash accuses nobody",
        "a crash while alone counts",
        "one in company accuses, and the next trials are longer",
        "where others came to their end meanwhile they are short again",
        "one between trials makes them longer as well",
        "longer than until the end they can't be",
        "a crash before anything began says nothing",
        "who left in good order was not brought down",
    ],
)
def test_who_is_accused(marks, level, trial):
    """By what the owner wrote last."""
    assert after_crash(marks) == (level, trial)


def test_trials_get_longer_until_they_last_until_the_end():
    """And are the shorter, the more suspects there are."""
    assert trial_time(1, 1) == LONGEST
    assert trial_time(1, 20) == SPAN / 20
    assert trial_time(1, 10_000) == SHORTEST
    times = [trial_time(level, 20) for level in range(1, STRICT)]
    assert times == sorted(times)
    assert trial_time(STRICT, 20) is None
