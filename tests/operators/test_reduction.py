"""Reductions: one value of many, over the successes and in their order."""

import pytest

from streamer.errors import CallFailed, Category
from streamer.operators.reduction import REDUCTIONS


@pytest.mark.parametrize(
    ("name", "values", "reduced"),
    [
        ("sum", [], 0),
        ("sum", [1, 2], 3),
        ("sum", [1, 0.5], 1.5),
        ("count", [], 0),
        ("count", [None, "a"], 2),
        ("concat", [], ""),
        ("concat", ["b", "a"], "ba"),
        ("concat", [[2], (1,), []], [2, 1]),
        ("merge", [], {}),
        ("merge", [{"a": 1, "b": 1}, {"b": 2}], {"a": 1, "b": 2}),
    ],
)
def test_reduces(name, values, reduced):
    assert REDUCTIONS[name](values) == reduced


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sum", [1, "2"]),
        ("sum", [True]),
        ("sum", [None]),
        ("concat", ["a", ["b"]]),
        ("concat", [["a"], "b"]),
        ("concat", [1]),
        ("merge", [{}, []]),
    ],
)
def test_refuses_what_it_cannot_reduce(name, values):
    """The answers are not what was asked for, and that may pass by itself."""
    with pytest.raises(CallFailed, match=f"reduce: {name} takes") as caught:
        REDUCTIONS[name](values)
    assert caught.value.category is Category.INVALID_RESPONSE


def test_does_not_change_what_it_reduces():
    values = [{"a": 1}, {"b": 2}]
    REDUCTIONS["merge"](values)
    assert values == [{"a": 1}, {"b": 2}]
