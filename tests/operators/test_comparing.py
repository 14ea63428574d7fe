"""Comparing answers: what says the same, and what only looks like it."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import CallFailed
from streamer.operators.comparing import (
    ABSTAINS,
    COMPARISONS,
    LETTERS,
    LONGEST,
    comparison,
    in_common,
    numbers,
    similarity,
)


def agree(compare: str, one: object, other: object, threshold: float = 0.8) -> bool:
    how = comparison(compare, threshold)
    a, b = how.key(one), how.key(other)
    if a is ABSTAINS or b is ABSTAINS:
        return False
    return a == b if how.alike is None else how.alike(a, b)


@dataclass
class Point:
    x: int
    y: int


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("threshold", [0.0, 0.8])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("42", "24"),
        (42, 24),
        ("The answer is 42.", "The answer is 24."),
        ("The answer is 42.", "The answer is 41."),
        ("It costs -5", "It costs 5"),
        ("3.14", "314"),
        ("10²", "102"),
        ("10²", "10³"),
        ("½ a litre", "¼ a litre"),
        ({"answer": 42}, {"answer": 24}),
        (["The answer is 42."], ["The answer is 24."]),
    ],
)
def test_other_numbers_never_agree(compare, threshold, one, other):
    """Not even where a low threshold would have it."""
    assert not agree(compare, one, other, threshold)


@pytest.mark.parametrize(
    ("compare", "one", "other", "same"),
    [
        ("exact", "Paris", "Paris", True),
        ("exact", "Paris", "paris", False),
        ("exact", 1, 1.0, True),
        ("exact", 1, True, False),
        ("exact", 1, "1", False),
        ("exact", None, False, False),
        ("exact", {"a": 1, "b": [2]}, {"b": [2], "a": 1.0}, True),
        ("exact", {"a": 1}, "{'a': 1}", False),
        ("exact", [1, 2], [2, 1], False),
        ("exact", [1, 2], (1, 2), True),
        ("exact", Point(1, 2), Point(1, 2), True),
        ("exact", Point(1, 2), Point(2, 1), False),
        ("normalized", " The  CAPITAL is\nParis.", "the capital is paris", True),
        ("normalized", '"Paris"', "**Paris**!", True),
        ("normalized", "Straße", "STRASSE", True),
        ("normalized", "caf\u00e9", "cafe\u0301", True),
        ("normalized", ".5", "5", False),
        ("normalized", {"city": "Paris."}, {"city": "paris"}, True),
        ("normalized", "C", "C++", False),
        ("json", '{"a": 1, "b": 2}', {"b": 2, "a": 1.0}, True),
        ("json", '```json\n{"a": [1]}\n```', '{"a":[1]}', True),
        ("json", '"1"', "1", False),
        ("json", "Paris", "Paris", False),
        ("json", "NaN", "NaN", False),
        ("json", "[" * 100_000, "[" * 100_000, False),
        ("number", "42", 42.0, True),
        ("number", "The answer is 42.", "= 42", True),
        ("number", "1,000 km", 1e3, True),
        ("number", "0.3", 0.1 + 0.2, True),
        ("number", 10**20, 10**20 + 1, False),
        ("number", "between 3 and 4", "between 3 and 4", False),
        ("number", "none", "none", False),
        ("number", True, 1, False),
        ("number", float("nan"), float("nan"), False),
        ("number", "1e99999999999999999999", "1e99999999999999999999", False),
        ("similarity", "The capital of France is Paris.", "The capital of France is paris!", True),
        ("similarity", "The colour is red", "The color is red", True),
        ("similarity", "Alice owes Bob", "Bob owes Alice", False),
        ("similarity", "yes", "no", False),
        ("similarity", "It has 7 days", "It has 7 day", True),
        ("similarity", {"city": "Paris", "n": 1}, {"n": 1.0, "city": "Pariss"}, True),
        ("similarity", {"city": "Paris"}, {"town": "Paris"}, False),
        ("similarity", ["Paris"], ["Paris", "Rome"], False),
        ("similarity", True, 1, False),
        ("similarity", "1", 1, False),
        ("similarity", "", "", True),
    ],
)
def test_what_agrees(compare, one, other, same):
    assert agree(compare, one, other) == agree(compare, other, one) == same


def test_what_has_no_equal_is_refused():
    with pytest.raises(CallFailed, match="bytearray"):
        comparison("exact", 0.8).key([bytearray(b"x")])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(COMPARISONS), VALUES, VALUES)
def test_agreeing_is_mutual_and_with_oneself(compare, one, other):
    assert agree(compare, one, other) == agree(compare, other, one)
    if comparison(compare, 0.8).key(one) is not ABSTAINS:
        assert agree(compare, one, one)


def longest(one, other):
    """By the book."""
    row = [0] * (len(other) + 1)
    for a in one:
        before = row[:]
        for i, b in enumerate(other):
            row[i + 1] = before[i] + 1 if a == b else max(before[i + 1], row[i])
    return row[-1]


@given(st.lists(st.sampled_from("abc"), max_size=80), st.lists(st.sampled_from("abc"), max_size=80))
def test_what_texts_have_in_common_is_their_longest_common_subsequence(one, other):
    assert in_common(one, other) == longest(one, other)


@given(st.text(), st.text())
def test_similarity_is_a_share(one, other):
    assert 0 <= similarity(one, other) == similarity(other, one) <= 1
    assert similarity(one, one) == 1


def test_long_texts_are_compared_by_words_and_the_longest_only_when_equal():
    text = "word " * (LETTERS // 4)
    assert similarity(text, text + "more") > 0.99
    assert similarity(text, text.replace("word", "sword")) == 0
    endless = "word " * (LONGEST // 4)
    assert (similarity(endless, endless), similarity(endless, endless + "more")) == (1, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3-4 or -5.5, 1,000 and .5", [3, 4, -5.5, 1000, 0.5]),
        ("1.2.3 at 1e3", [1.2, 0.3, 1000]),
        ("H2O and \u22127", [2, -7]),
        ("none", []),
    ],
)
def test_numbers_in_a_text(text, found):
    assert [float(number) for number in numbers(text)] == found
