"""Back-off: how long to wait, for every strategy."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.operators.backoff import delay
from streamer.tasks import Retry

STRATEGIES = ("fixed", "linear", "exponential", "jitter", "decorrelated")


def schedule(length: int = 8, seed: int = 1, **settings) -> list[float]:
    policy, random, waits = Retry(**settings), Random(seed), [0.0]
    for attempt in range(1, length + 1):
        waits.append(delay(policy, attempt, waits[-1], random))
    return waits[1:]


@pytest.mark.parametrize(
    ("settings", "waits"),
    [
        ({"backoff": "fixed", "initial_delay": 2}, [2, 2, 2, 2]),
        ({"backoff": "linear", "initial_delay": 2}, [2, 4, 6, 8]),
        ({"backoff": "exponential", "initial_delay": 2}, [2, 4, 8, 16]),
        ({"backoff": "exponential", "initial_delay": 1, "multiplier": 3}, [1, 3, 9, 27]),
        ({"backoff": "exponential", "initial_delay": 1, "multiplier": 1}, [1, 1, 1, 1]),
        ({"backoff": "jitter", "initial_delay": 2, "jitter": 0}, [2, 4, 8, 16]),
        ({}, [1, 2, 4, 8]),
    ],
)
def test_formulas(settings, waits):
    assert schedule(4, **settings) == waits


@pytest.mark.parametrize("backoff", ["fixed", "linear", "exponential", "decorrelated"])
def test_the_first_wait_is_the_initial_delay(backoff):
    assert schedule(1, backoff=backoff, initial_delay=0.7) == [0.7]


@given(st.integers(), st.floats(0, 1))
def test_jitter_stays_within_its_share(seed, jitter):
    for attempt, wait in enumerate(schedule(6, seed, backoff="jitter", jitter=jitter)):
        assert 2**attempt * (1 - jitter) - 1e-9 <= wait <= 2**attempt * (1 + jitter) + 1e-9


@given(st.integers())
def test_decorrelated_is_between_the_first_and_three_times_the_one_before(seed):
    waits = schedule(20, seed, backoff="decorrelated", initial_delay=1, max_delay=1e6)
    for before, wait in pairwise(waits):
        assert 1 <= wait <= 3 * before


@given(
    st.sampled_from(STRATEGIES),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(1, 1000),
    st.integers(1, 1_000_000),
)
def test_every_strategy_is_capped(backoff, initial, cap, multiplier, attempt):
    """Fixed ones too, and however many attempts there are; none is negative."""
    policy = Retry(backoff=backoff, initial_delay=initial, max_delay=cap, multiplier=multiplier)
    assert 0 <= delay(policy, attempt, cap, Random(0)) <= cap


@pytest.mark.parametrize("backoff", STRATEGIES)
def test_the_same_seed_gives_the_same_waits(backoff):
    assert schedule(seed=7, backoff=backoff) == schedule(seed=7, backoff=backoff)


@pytest.mark.parametrize("backoff", ["jitter", "decorrelated"])
def test_another_seed_gives_others(backoff):
    assert schedule(seed=7, backoff=backoff) != schedule(seed=8, backoff=backoff)
