"""Server-sent events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.providers.sse import Events, EventTooLong


def parse(*pieces: bytes, limit: int = 1_000) -> list[str]:
    events = Events(limit)
    data = [event for piece in pieces for event in events.feed(piece)]
    return data + events.close()


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"", []),
        (b"\n\n\n", []),
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
        (b"data: a\r\rdata: b\r\r", ["a", "b"]),
        (b"data: a\n\r\ndata: b\r\n\n", ["a", "b"]),
        (b"data:a\n\n", ["a"]),
        (b"data:  a \n\n", [" a "]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data: a\ndata\ndata: b\n\n", ["a\n\nb"]),
        (b"data\n\n", [""]),
        (b"data: [DONE]", ["[DONE]"]),
        (b"data: a\n", ["a"]),
        (b": keep-alive\n\n:\n\ndata: a\n\n", ["a"]),
        (b"event: error\nid: 7\nretry: 10\ndata: a\nnonsense\n\n", ["a"]),
        (b"event: ping\n\ndata: a\n\n", ["a"]),
        (b"database: no\n\n data: no\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        ("data: h\u00e9 \u2028 \x0b \x85 \U0001f600\n\n".encode(), ["h\u00e9 \u2028 \x0b \x85 \U0001f600"]),
        (b"data: \xff\n\n", ["\ufffd"]),
    ],
)
def test_the_standard_decides_what_an_event_is(stream: bytes, data: list[str]) -> None:
    """Line ends, comments, fields, byte order mark, encoding; a last blank line may be missing."""
    assert parse(stream) == data
    assert parse(*(bytes((byte,)) for byte in stream)) == data


text = st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=20)
line = st.one_of(
    text.map(lambda value: f"data: {value}"),
    text.map(lambda value: f"data:{value}"),
    text.map(lambda value: f": {value}"),
    st.sampled_from(["", "data", "event: delta", "id: 1", "retry: 3", "data: [DONE]", "nonsense"]),
)
stream = st.lists(st.tuples(line, st.sampled_from(["\n", "\r", "\r\n"])), max_size=20).map(
    lambda lines: "".join(text + end for text, end in lines).encode()
)


@given(stream, st.lists(st.integers(0, 400), max_size=30), st.booleans())
def test_any_chunking_gives_the_same_events(stream: bytes, cuts: list[int], cut_short: bool) -> None:
    """However the bytes arrive, the events are those of the whole stream."""
    if cut_short:
        stream = stream[: len(stream) * 2 // 3]
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(places)]
    assert parse(*pieces) == parse(stream)


@pytest.mark.parametrize(
    "stream",
    [b"data: " + b"a" * 200, b":" + b"a" * 200 + b"\n", b"data: aaaaaaaa\n" * 20, b"event: " + b"a" * 200],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_endless_line_or_event_is_refused(stream: bytes, size: int) -> None:
    """What is kept of a stream is bounded."""
    with pytest.raises(EventTooLong, match="100 bytes"):
        parse(*(stream[start : start + size] for start in range(0, len(stream), size)), limit=100)


def test_an_endless_line_is_refused_before_it_ends() -> None:
    """What never ends is not waited for."""
    events = Events(100)
    for _ in range(100):
        events.feed(b"a")
    with pytest.raises(EventTooLong):
        events.feed(b"a")


def test_the_limit_is_per_event() -> None:
    """A long stream of short events is fine."""
    assert len(parse(b"data: aaaaaaaa\n\n" * 1_000, limit=20)) == 1_000
