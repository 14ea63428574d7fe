"""Counting votes: a share of all that were asked, whatever the order in which they answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.operators.agreement import STRATEGIES, WEIGHED, Count, Election

VALUES = st.sampled_from(["a", "A.", "1", 1, "b", '{"x": 1}', {"x": 1}, {"x": 1, "y": "a"}, {"x": 2}, {}])


@st.composite
def elections(draw):
    """An election, what each of those who are asked answers (or that they fail), and the order they do it in."""
    asked = draw(st.integers(2, 6))
    strategy = draw(st.sampled_from(STRATEGIES))
    weights = None
    if strategy in WEIGHED:
        weights = draw(
            st.lists(st.sampled_from([0, 0.1, 0.2, 1, 3]), min_size=asked, max_size=asked).filter(any)
        )
    election = Election(
        asked,
        strategy,
        weights,
        draw(st.sampled_from(["exact", "normalized", "json", "number", "similarity"])),
        draw(st.sampled_from([0, 0.8])),
        draw(st.sampled_from([0, 0.34, 0.5, 0.6, 1])),
    )
    answers = draw(st.lists(st.none() | VALUES.map(lambda value: (value,)), min_size=asked, max_size=asked))
    return election, answers, draw(st.permutations(range(asked)))


def cast(count, index, answer):
    if answer is None:
        count.failed(index)
    else:
        count.answered(index, *answer)


@given(elections())
def test_count(case):
    """Its invariants, as it states them."""
    election, answers, order = case
    one, other = Count(election), Count(election)
    hopeless = False
    for index in order:
        cast(one, index, answers[index])
        hopeless = hopeless or not one.possible()
    for index, answer in enumerate(answers):
        cast(other, index, answer)
    verdict = one.verdict()
    assert verdict == other.verdict()
    votes = sum(election.vote[i] for i, answer in enumerate(answers) if answer is not None)
    assert 0 <= verdict.agreement <= min(1, votes / election.total) + 1e-9
    if hopeless:
        assert not one.enough(verdict)
    if one.enough(verdict):
        assert verdict.agreement >= election.needed - 1e-9
        if verdict.index is not None:
            assert verdict.value is answers[verdict.index][0]


def outcome(*answers, **settings):
    count = Count(Election(len(answers), **settings))
    for index, answer in enumerate(answers):
        cast(count, index, None if answer is None else (answer,))
    verdict = count.verdict()
    return verdict.value, round(verdict.agreement, 3), count.enough(verdict)


@pytest.mark.parametrize(
    ("answers", "settings", "expected"),
    [
        (["a", "b", "a"], {}, ("a", 0.667, True)),
        (["a", "b", "c"], {}, ("a", 0.333, False)),
        (["b", "a", "a", "b"], {"minimum_agreement": 0.5}, ("b", 0.5, True)),
        ([None, None, "a", None, None], {}, ("a", 0.2, False)),
        (["a", "a", "a", None, None], {}, ("a", 0.6, True)),
        ([None, None], {"minimum_agreement": 0}, (None, 0, False)),
        (["x", "x"], {"compare": "number", "minimum_agreement": 0}, (None, 0, False)),
        (["a", "a", "b"], {"strategy": "unanimous", "minimum_agreement": 0}, ("a", 0.667, False)),
        (["a", "a", None], {"strategy": "unanimous"}, ("a", 0.667, False)),
        (["a", "a"], {"strategy": "unanimous"}, ("a", 1, True)),
        (["a", "b", "b"], {"strategy": "weighted", "weights": [4, 1, 1]}, ("a", 0.667, True)),
        (["a", "b", "b"], {"strategy": "weighted", "weights": [2, 1, 1]}, ("a", 0.5, False)),
        ([None, "b", "b"], {"strategy": "weighted", "weights": [6, 1, 1]}, ("b", 0.25, False)),
        (["a", "a", "a"], {"strategy": "weighted", "weights": [0.1, 0.2, 0.3]}, ("a", 1, True)),
        (["a", "b", "b"], {"strategy": "weighted", "weights": [0.3, 0.1, 0.2], "minimum_agreement": 0.5}, ("a", 0.5, True)),
        (["a", "b", "b"], {"strategy": "best", "weights": [1, 3, 2]}, ("b", 0.667, True)),
        (["a", None, "b"], {"strategy": "best", "weights": [1, 3, 2]}, ("b", 0.333, False)),
        (["a", "b", "c"], {"strategy": "best", "weights": [1, 1, 0], "minimum_agreement": 0}, ("a", 0.333, True)),
        (["The sum is 42.", "the sum is 42", "The sum is 24."], {"compare": "similarity"}, ("The sum is 42.", 0.667, True)),
        (["aaaaab", "aaaaaa", "aaaabb"], {"compare": "similarity", "threshold": 0.9}, ("aaaaab", 0.333, False)),
        (["aaaaaa", "aaaaab", "aaaabb"], {"compare": "similarity"}, ("aaaaab", 1, True)),
    ],
)  # fmt: skip
def test_outcomes(answers, settings, expected):
    assert outcome(*answers, **settings) == expected


class TestMerge:
    """A majority for each field of objects."""

    def test_each_field_is_decided_on_its_own(self):
        answers = [{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 9, "b": 3}]
        assert outcome(*answers, strategy="merge") == ({"a": 1, "b": 3}, 0.667, True)

    def test_the_least_sure_field_is_how_sure_it_is(self):
        answers = [{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1, "b": 4}]
        assert outcome(*answers, strategy="merge") == ({"a": 1, "b": 2}, 0.333, False)

    def test_a_field_that_most_leave_out_is_left_out(self):
        answers = [{"a": 1, "note": "x"}, {"a": 1}, {"a": 1}]
        assert outcome(*answers, strategy="merge") == ({"a": 1}, 0.667, True)
        assert outcome(*answers, strategy="merge", compare="similarity") == ({"a": 1}, 0.667, True)

    def test_what_is_no_object_does_not_vote(self):
        assert outcome({"a": 1}, "a", ["a"], strategy="merge") == ({"a": 1}, 0.333, False)

    def test_texts_are_objects_where_json_is_compared(self):
        answers = ['{"a": 1}', {"a": 1.0}, "none"]
        assert outcome(*answers, strategy="merge", compare="json") == ({"a": 1}, 0.667, True)

    def test_nothing_in_common_is_an_empty_object(self):
        assert outcome({}, {}, strategy="merge") == ({}, 1, True)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"asked": 1}, "at least two"),
        ({"strategy": "luck"}, "strategy"),
        ({"compare": "feeling"}, "compare"),
        ({"threshold": 1.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"minimum_agreement": -0.1}, "minimum_agreement"),
        ({"minimum_agreement": "all"}, "minimum_agreement"),
        ({"weights": [1, 1, 1]}, "weights"),
        ({"strategy": "weighted"}, "weights"),
        ({"strategy": "best"}, "weights"),
        ({"strategy": "weighted", "weights": [1, 1]}, "weights"),
        ({"strategy": "weighted", "weights": [1, 1, -1]}, "weights"),
        ({"strategy": "weighted", "weights": [1, 1, float("nan")]}, "weights"),
        ({"strategy": "weighted", "weights": [1, 1, float("inf")]}, "weights"),
        ({"strategy": "weighted", "weights": [1, 1, True]}, "weights"),
        ({"strategy": "weighted", "weights": [0, 0, 0]}, "weights"),
    ],
)
def test_settings_are_judged_when_made(settings, named):
    with pytest.raises(ValueError, match=named):
        Election(**{"asked": 3, **settings})
