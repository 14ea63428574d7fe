"""How long it will take, by how it went."""

from __future__ import annotations

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.progress.rate import Rate


def test_at_an_even_pace_it_is_elapsed_over_fraction_less_elapsed():
    rate = Rate(100.0)
    for second in range(1, 50):
        rate.note(100.0 + second, second / 100)
        assert rate.eta == pytest.approx(second / (second / 100) - second)


def test_nobody_knows_until_something_is_done():
    rate = Rate(0.0)
    assert rate.eta is None
    rate.note(5.0, 0.0)
    assert rate.eta is None
    rate.note(6.0, 0.5)
    assert rate.eta == pytest.approx(6, rel=0.02)


def test_what_stands_still_takes_longer_and_longer():
    rate = Rate(0.0)
    rate.note(10.0, 0.5)
    before = rate.eta
    rate.note(20.0, 0.5)
    assert rate.eta > before


def test_what_was_long_ago_counts_less():
    """Half in a minute, then an hour at a tenth of that: the other half is not expected within a minute."""
    rate = Rate(0.0)
    for second in range(1, 61):
        rate.note(second, second / 120)
    assert rate.eta == pytest.approx(60)
    for second in range(1, 241):
        rate.note(60 + second, 0.5 + second / 1200)
    overall = 300 / 0.7 - 300
    assert overall * 1.5 < rate.eta <= 0.3 * 1200


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1))))
def test_it_is_never_negative_and_never_endless(notes):
    """Whatever clocks and fractions do."""
    rate, now = Rate(0.0), 0.0
    for passed, fraction in notes:
        now += passed
        rate.note(now, fraction)
        assert rate.eta is None or (rate.eta >= 0 and isfinite(rate.eta))
