"""How spans of time lie over each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.telemetry.spans import covered, merged, peak, together, within, without

SPANS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 6)).map(lambda pair: (float(pair[0]), float(sum(pair))))
)


def over(spans, second):
    """How many lie over the second that begins there."""
    return sum(began <= second and second + 1 <= ended for began, ended in spans)


@given(SPANS)
def test_whatever_the_spans_they_are_what_one_counts_second_by_second(spans):
    seconds = range(30)
    assert covered(spans) == sum(over(spans, second) > 0 for second in seconds)
    assert together(spans) == sum(over(spans, second) for second in seconds)
    longer = [span for span in spans if span[0] < span[1]]
    assert peak(longer) == max((over(longer, second) for second in seconds), default=0)
    assert peak(longer) <= peak(spans) <= len(spans)
    assert all(one[1] < other[0] for one, other in zip(merged(spans), merged(spans)[1:], strict=False))


@given(SPANS, SPANS)
def test_what_is_left_of_a_span_is_what_no_other_covers(spans, others):
    for span in spans:
        left = without(span, others)
        assert all(
            over(left, second) == (over([span], second) and not over(others, second)) for second in range(30)
        )
        assert together(left) == covered(left)


@given(SPANS, st.integers(0, 10), st.integers(10, 20))
def test_the_parts_between_two_instants_lie_there(spans, began, ended):
    parts = within(spans, began, ended)
    assert all(over(parts, second) == over(spans, second) for second in range(began, ended))
    assert all(began <= start <= end <= ended for start, end in parts)


def test_who_begins_at_the_end_of_another_comes_after_it():
    """Give or take the millisecond that a loop takes to hand over; instants, too, follow one another."""
    assert peak([(0.0, 1.0), (1.0, 2.0)]) == peak([(0.0, 1.0), (0.9995, 2.0)]) == 1
    assert peak([(0.0, 1.0), (0.99, 2.0)]) == 2
    assert peak([(1.0, 1.0), (1.0, 1.0)]) == 1
    assert peak([]) == 0
