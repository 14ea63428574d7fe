"""The failure policy: one meaning for all operators, judged from counts alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.operators.policy import CONTINUE, STOP, Policy, on_error_policy

REQUIRE = st.sampled_from(["all", "any", "none"]) | st.integers(0, 8)
ENDS = st.lists(st.booleans(), max_size=8)


@given(REQUIRE, st.booleans(), ENDS)
def test_what_is_hopeless_stays_so_and_is_exactly_what_is_not_satisfied_in_the_end(require, fail_fast, ends):
    """Children end one after another; the policy is asked after each, as operators do."""
    total = len(ends)
    policy = Policy(require, fail_fast)
    hopeless = [policy.hopeless(ends[:ended].count(False), total) for ended in range(total + 1)]
    assert hopeless == sorted(hopeless)
    assert hopeless[-1] is not policy.satisfied(ends.count(True), total)
    stops = [policy.stops(ends[:ended].count(False), total) for ended in range(total + 1)]
    assert stops == (hopeless if fail_fast else [False] * (total + 1))


@given(REQUIRE, ENDS, ENDS)
def test_of_an_unknown_number_only_what_no_further_child_can_mend_is_hopeless(require, ends, more):
    policy = Policy(require)
    if policy.hopeless(ends.count(False), None):
        assert not policy.satisfied((ends + more).count(True), len(ends + more))


@pytest.mark.parametrize("fail_fast", ["no", 1, None])
def test_whether_it_fails_fast_is_true_or_false(fail_fast):
    """A word would be true, whatever it says."""
    with pytest.raises(ValueError, match="fail_fast is True or False, not"):
        Policy(fail_fast=fail_fast)


@given(REQUIRE, st.integers(0, 8))
def test_more_than_there_are_can_not_be_required(require, total):
    policy = Policy(require)
    if isinstance(require, int) and require > total:
        with pytest.raises(ValueError, match=f"at most the number of tasks, {total}"):
            policy.of(total)
    else:
        assert policy.of(total) is policy
        assert 0 <= policy.needed(total) <= total


@pytest.mark.parametrize("require", ["most", "", -1, True, 1.5, None])
def test_anything_else_is_refused_by_name(require):
    with pytest.raises(ValueError, match="require"):
        Policy(require)


def test_a_sequence_speaks_of_the_same_policy_in_words():
    assert (on_error_policy("stop"), on_error_policy("continue")) == (STOP, CONTINUE)
    assert STOP.stops(1, 3)
    assert not CONTINUE.stops(1, 3)
    with pytest.raises(ValueError, match="on_error"):
        on_error_policy("panic")
