"""Gathering: which items share a call, whatever comes and goes."""

from hypothesis import given
from hypothesis import strategies as st

from streamer.providers.gathering import Gathering

STEPS = st.lists(
    st.one_of(
        st.just(("join", 0)),
        st.tuples(st.just("leave"), st.integers(0, 30)),
        st.tuples(st.just("pass"), st.integers(0, 5)),
        st.just(("end", 0)),
    ),
    max_size=60,
)


@given(steps=STEPS, size=st.integers(1, 4), wait=st.integers(0, 6), concurrency=st.none() | st.integers(1, 3))
def test_every_item_is_in_one_batch_or_has_left(steps, size, wait, concurrency):
    gathering = Gathering(size, wait, concurrency)
    now = running = joined = 0
    came: dict[int, int] = {}
    for what, number in steps:
        if what == "join":
            full = gathering.join(joined, now)
            came[joined] = now
            joined += 1
            assert full == (len(came) >= size)
        elif what == "leave":
            gathering.leave(number)
            came.pop(number, None)
        elif what == "pass":
            now += number
        elif running:
            gathering.ended()
            running -= 1
        while batch := gathering.next(now):
            assert batch == list(came)[: len(batch)]
            assert len(batch) == size or (batch == list(came) and now >= came[batch[0]] + wait)
            for item in batch:
                del came[item]
            running += 1
            assert concurrency is None or running <= concurrency
        assert list(gathering.waiting) == list(came)
        room = concurrency is None or running < concurrency
        assert gathering.due == (next(iter(came.values())) + wait if came and room else None)
        assert not room or len(came) < size
