"""What the metadata of a commit promises: it says what was true, it fits, and nothing else is believed."""

import tracemalloc
from binascii import b2a_base64
from random import Random
from zlib import crc32

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamer.kafka import metadata
from streamer.kafka.ledger import SLACK, SPARSE_UNFINISHED, SPARSE_WINDOW, WINDOW
from streamer.kafka.metadata import BITS, LIMIT, Identity, Marks, Restored, Trial, decode, encode

HERE = Identity("cluster", "topic")
NONCE = b"12345678"


def holes_of(frontier: int, position: int, finished: list[tuple[int, int]]) -> list[int]:
    holes, at = [], frontier + 1
    for start, stop in [*finished, (position, position)]:
        holes.extend(range(at, start))
        at = stop
    return holes


def forged(payload: bytes, frontier: int = 100, kind: int = 0) -> str:
    """A text that nobody but a stranger would write, with a checksum that is right."""
    body = metadata._HEAD.pack(*HERE.digests, frontier, NONCE, kind) + payload
    return "str1" + b2a_base64(body + crc32(body).to_bytes(4), newline=False).decode()


def varint(number: int) -> bytes:
    out = bytearray()
    metadata._varint(out, number)
    return bytes(out)


frontiers = st.integers(0, 2**62)
runs = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), max_size=30)


@settings(max_examples=150, deadline=None)
@given(frontiers, runs, st.integers(0, 50), st.binary(min_size=8, max_size=8), st.data())
def test_what_is_written_is_read(
    frontier: int, runs: list[tuple[int, int]], behind: int, nonce: bytes, data: st.DataObject
) -> None:
    finished, at = [], frontier
    for gap, length in runs:
        finished.append((at + gap, at + gap + length))
        at += gap + length
    position = at + (behind + 1 if runs or behind else 0)
    ahead = st.integers(0, 2**32 - 1)
    trials = st.builds(Trial, ahead.map(lambda far: frontier + far), st.integers(0, 255), st.booleans())
    marks = Marks(
        reach=frontier + data.draw(ahead),
        left=data.draw(st.booleans()),
        trial=data.draw(st.none() | trials),
        level=data.draw(st.integers(0, 255)),
        low_water=data.draw(st.none() | frontiers),
        moved=data.draw(st.booleans()),
        began=data.draw(st.booleans()),
    )
    text = encode(HERE, frontier, position, holes_of(frontier, position, finished), nonce, marks)
    assert len(text) <= LIMIT
    assert decode(text, HERE, frontier) == Restored(frontier, tuple(finished), nonce, marks=marks)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_any_state_of_a_window_that_had_room_fits_with_the_poll_that_came_last(share: float) -> None:
    """holes_survive: a bitset holds `WINDOW + SLACK` offsets."""
    assert WINDOW + SLACK <= BITS
    random = Random(share)
    position = 10**12 + WINDOW + SLACK
    holes = [offset for offset in range(10**12 + 1, position) if random.random() < share]
    text = encode(HERE, 10**12, position, holes, NONCE)
    restored = decode(text, HERE, 10**12)
    assert len(text) <= LIMIT
    assert holes_of(10**12, position, restored.finished) == holes


@pytest.mark.parametrize("width", [SPARSE_WINDOW, 2 * SPARSE_WINDOW])
def test_as_many_unfinished_as_have_room_fit_in_any_window_with_the_poll_that_came_last(width: int) -> None:
    """holes_survive: run lengths hold `SPARSE_UNFINISHED + SLACK` offsets, also behind a jump."""
    count = SPARSE_UNFINISHED + SLACK
    for seed in range(3):
        # A finished run takes two bytes from 128 offsets on, and three from 16,384.
        random = Random(seed)
        holes = sorted(random.sample(range(1, width), count - 1))
        if seed == 0:
            holes = [1 + at * (width // count) for at in range(1, count)]
        text = encode(HERE, 0, width, holes, NONCE)
        assert len(text) <= LIMIT
        assert holes_of(0, width, decode(text, HERE, 0).finished) == holes


def test_the_shorter_of_the_two_forms_is_written() -> None:
    sparse = encode(HERE, 0, 1_000_000, [5, 500_000], NONCE)
    dense = encode(HERE, 0, 1_000, range(2, 1_000, 2), NONCE)
    assert len(sparse) < 104
    assert len(dense) < 4 + (metadata._HEAD.size + metadata._MARKS.size + 125 + 4) * 4 / 3 + 4


@settings(max_examples=30, deadline=None)
@given(st.integers(BITS, 3 * BITS), st.floats(0.02, 0.98), st.integers(0, 2**32))
def test_what_does_not_fit_is_left_out_at_the_upper_end(width: int, share: float, seed: int) -> None:
    """Never something wrong: what is remembered is true, and complete as far as it reaches."""
    random = Random(seed)
    holes = [offset for offset in range(1, width) if random.random() < share]
    text = encode(HERE, 0, width, holes, NONCE)
    restored = decode(text, HERE, 0)
    assert len(text) <= LIMIT
    assert restored.reason is None
    reach = restored.finished[-1][1]
    assert reach > BITS * 0.99
    assert holes_of(0, reach, restored.finished) == [hole for hole in holes if hole < reach]


def test_nothing_finished_is_written_as_nothing() -> None:
    for position, holes in ((5, []), (6, []), (9, [6, 7, 8])):
        restored = decode(encode(HERE, 5, position, holes, NONCE), HERE, 5)
        assert restored == Restored(5, (), NONCE, marks=Marks(5))


def test_version_1_stays_readable() -> None:
    """What is in the brokers was written long ago: this text may never change its meaning."""
    bits = "str1L/L3VXzgB7W5AZaoRgP+ZgAAAAAAAABkMTIzNDU2NzgBd8gxCTD1"
    assert decode(bits, HERE, 100) == Restored(100, ((102, 105), (106, 111), (113, 114)), NONCE)
    runs = "str1L/L3VXzgB7W5AZaoRgP+ZgAAAAAAAABkMTIzNDU2NzgAAgMB1Q8CxxaRDQII"
    assert decode(runs, HERE, 100) == Restored(100, ((102, 105), (106, 2111), (2113, 5000)), NONCE)


def test_version_2_stays_readable() -> None:
    text = "str2L/L3VXzgB7W5AZaoRgP+ZgAAAAAAAABkMTIzNDU2NzgAAAAAPA8AAAABAgMAAAAAAAAATQIDAdUPAscWBVNOMQ=="
    marks = Marks(reach=160, left=True, trial=Trial(101, crashes=2, alone=True), level=3, low_water=77)
    assert encode(HERE, 100, 5000, [101, 105, 2111, 2112], NONCE, marks) == text
    finished = ((102, 105), (106, 2111), (2113, 5000))
    assert decode(text, HERE, 100) == Restored(100, finished, NONCE, marks=marks)


def test_a_trial_that_has_ended_accuses_nobody_else() -> None:
    text = encode(HERE, 100, 100, [], NONCE, Marks(120, trial=Trial(99, crashes=3, alone=True), level=1))
    assert decode(text, HERE, 100).marks == Marks(120, level=1)


def test_a_nonce_has_eight_bytes() -> None:
    with pytest.raises(ValueError, match="nonce: 8 bytes, not 3"):
        encode(HERE, 0, 0, [], b"abc")


@pytest.mark.parametrize(
    ("identity", "committed", "change", "reason"),
    [
        (Identity("other", "topic"), 5, lambda text: text, "the metadata was written for another cluster"),
        (
            Identity("cluster", "new"),
            5,
            lambda text: text,
            "the metadata was written for another topic of this name",
        ),
        (HERE, 4, lambda text: text, "the metadata belongs to offset 5, but 4 is committed"),
        (HERE, 5, lambda text: "str3" + text[4:], "the metadata is not of version 2 or the one before"),
        (HERE, 5, lambda text: text[:-8], "the metadata is cut short or altered"),
        (HERE, 5, lambda text: text[:4], "the metadata is cut short or altered"),
        (HERE, 5, lambda text: text + " " * LIMIT, "the metadata was not written by Streamer"),
        (HERE, 5, lambda text: "AQAAAYm", "the metadata was not written by Streamer"),
        (HERE, 5, lambda text: "", "there is no metadata"),
        (HERE, 5, lambda text: None, "there is no metadata"),
    ],
)
def test_what_was_not_written_for_this_commit_of_this_log_means_frontier_only(
    identity: Identity, committed: int, change, reason: str
) -> None:
    text = encode(HERE, 5, 10, [7], NONCE)
    assert decode(change(text), identity, committed)[:4] == (committed, (), b"", reason)


@pytest.mark.parametrize(
    ("identity", "made_anew"),
    [
        (HERE, False),
        (Identity("cluster", "new"), True),
        (Identity("other", "topic"), False),
        (Identity("other", "new"), False),
    ],
)
def test_a_topic_made_anew_is_one_with_another_id_in_the_same_cluster(
    identity: Identity, made_anew: bool
) -> None:
    """There the committed offset itself says nothing; of a mirrored topic it does."""
    assert decode(encode(HERE, 5, 10, [7], NONCE), identity, 5).topic_made_anew == made_anew


def test_text_that_was_cut_anywhere_means_frontier_only() -> None:
    text = encode(HERE, 5, 400, range(7, 400, 3), NONCE)
    for length in range(len(text)):
        restored = decode(text[:length], HERE, 5)
        assert restored.reason
        assert restored.finished == ()


def test_text_that_was_altered_anywhere_means_frontier_only() -> None:
    """But for the bits behind the last byte, which mean nothing."""
    text = encode(HERE, 5, 400, range(7, 400, 3), NONCE)
    intact = decode(text, HERE, 5)
    for at, character in enumerate(text):
        for other in "Aa0+é\0":
            restored = decode(text[:at] + other + text[at + 1 :], HERE, 5)
            assert other == character or restored.reason or (at > len(text) - 4 and restored == intact)


@settings(max_examples=100, deadline=None)
@given(st.text() | st.binary(max_size=60).map(lambda raw: "str1" + b2a_base64(raw, newline=False).decode()))
@example("str1")
@example("str1====")
@example("\ud800")
def test_no_foreign_text_raises(text: str) -> None:
    restored = decode(text, HERE, 3)
    assert restored.reason
    assert restored[:2] == (3, ())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 2**63 - 1), st.integers(0, 255))
@example(b"", 0, 1)
@example(b"\xff", 2**63 - 1, 1)
@example(b"\x01\x01", 2**63 - 2, 0)
def test_no_hostile_payload_raises_or_says_the_impossible(payload: bytes, frontier: int, kind: int) -> None:
    restored = decode(forged(payload, frontier, kind), HERE, frontier)
    assert restored.frontier == frontier
    at = frontier
    for start, stop in restored.finished:
        assert at < start < stop < 2**63
        at = stop
    assert not (restored.reason and restored.finished)


@pytest.mark.parametrize(
    ("payload", "kind", "reason"),
    [
        (varint(1) + varint(2**70), 0, "a run is too long"),
        (varint(1) + varint(2**62) + varint(1) + varint(2**62), 0, "an offset is too high"),
        (varint(2**31) + varint(1), 0, "more offsets are unfinished than any window allows"),
        (varint(0) + varint(1), 0, "a run is empty"),
        (varint(1), 0, "a run is empty"),
        (b"\x01\xff", 0, "a run is cut short"),
        (b"\xff" * 100, 0, "a run is too long"),
        (b"\x01\x01", 7, "there is no form 7"),
    ],
)
def test_an_impossible_payload_means_frontier_only(payload: bytes, kind: int, reason: str) -> None:
    restored = decode(forged(payload, kind=kind), HERE, 100)
    assert restored == Restored(100, (), b"", f"the metadata is impossible: {reason}")


def test_a_huge_run_takes_no_memory() -> None:
    text = forged(varint(1) + varint(2**61))
    decode(text, HERE, 100)
    tracemalloc.start()
    try:
        assert decode(text, HERE, 100).finished == ((101, 101 + 2**61),)
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()
