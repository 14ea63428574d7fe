"""Extra calls: at most a share of all, over a window that moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import SettingsError
from streamer.limits import ExtraCalls

STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 1.0, 7.0, 30.0, 100.0]), st.booleans()), min_size=1, max_size=200
)


@given(STEPS, st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from([0, 1, 5]))
def test_extra_calls(steps, share, minimum):
    """Its invariants, against all calls of the window as its slices cut it."""
    budget = ExtraCalls(share, minimum, window=60)
    now, calls, extra = 0.0, [], []
    for later, wants_extra in steps:
        now += later
        oldest = (int(now / 6) - 9) * 6
        if not wants_extra:
            budget.called(now)
            calls.append(now)
            continue
        within = [sum(at >= oldest for at in times) for times in (calls, extra)]
        fits = within[1] + 1 <= max(minimum, share * (within[0] + 1))
        assert budget.allow(now) == fits
        if fits:
            budget.called(now)
            calls.append(now)
            extra.append(now)
        assert len(budget.slices) <= 10


def test_a_few_are_always_allowed():
    budget = ExtraCalls(0.1, minimum=2)
    assert [budget.allow(0) for _ in range(3)] == [True, True, False]
    assert budget.allow(60)


def test_many_calls_allow_more():
    budget = ExtraCalls(0.2, minimum=0)
    assert not budget.allow(0)
    for _ in range(100):
        budget.called(1)
    assert sum(budget.allow(1) for _ in range(100)) == 20


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"share": 1.1}, "share"),
        ({"share": float("nan")}, "share"),
        ({"share": True}, "share"),
        ({"minimum": -1}, "minimum"),
        ({"minimum": 1.5}, "minimum"),
        ({"window": 0}, "window"),
        ({"window": float("inf")}, "window"),
    ],
)
def test_settings_are_judged_when_made(settings, named):
    with pytest.raises(SettingsError, match=named):
        ExtraCalls(**settings)
