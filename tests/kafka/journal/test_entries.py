"""The bytes of a journal's records."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import Category
from streamer.events import Outcome
from streamer.kafka.journal.entries import VERSION, Epoch, Noted, Unwritable, decode, encode, key, origin
from streamer.kafka.metadata import Identity
from streamer.results import Failure
from tests.kafka.journal.outcomes import outcome

NONCE, ORIGIN = b"12345678", b"abcdefgh"


def noted(found: Outcome) -> Noted:
    return Noted(NONCE, ORIGIN, 3, 7, found)


@pytest.mark.parametrize(
    "entry",
    [
        Epoch(NONCE, ORIGIN, None),
        noted(outcome(value={"a": [1, 2.5, None]})),
        noted(
            outcome(not_before=1.5, failure=Failure(category=Category.RATE_LIMIT, type="E", message="later"))
        ),
    ],
)
def test_what_is_written_is_read(entry: Epoch | Noted) -> None:
    assert decode(encode(entry)) == entry


def test_a_key_is_the_tasks_offset() -> None:
    """So that who reads the topic with tools finds a task's notes."""
    assert (key(noted(outcome())), key(Epoch(NONCE, ORIGIN, None))) == (b"7", b"epoch")


def test_a_record_of_an_unknown_version_says_nothing() -> None:
    value = encode(Epoch(NONCE, ORIGIN, None))
    assert value[0] == VERSION
    assert decode(bytes((VERSION + 1,)) + value[1:]) is None


def test_a_field_that_is_not_known_yet_is_passed_over() -> None:
    """A newer writer of the same version may say more."""
    said = msgspec.msgpack.decode(encode(noted(outcome()))[1:])
    said[-1]["mood"] = "good"
    said.append("more")
    assert decode(bytes((VERSION,)) + msgspec.msgpack.encode(said)) == noted(outcome())


@pytest.mark.parametrize(
    "value", [None, b"", b"\x01", encode(noted(outcome()))[:-1], b"\x01" + b"\x91" * 5_000]
)
def test_what_is_not_whole_says_nothing(value: bytes | None) -> None:
    assert decode(value) is None


@given(st.binary(max_size=60))
def test_whatever_the_bytes_are_reading_them_is_no_error(value: bytes) -> None:
    decode(bytes((VERSION,)) + value)
    decode(value)


@pytest.mark.parametrize("value", [object(), 2**70, "\ud800"])
def test_what_messagepack_cannot_carry_is_told(value: object) -> None:
    with pytest.raises(Unwritable):
        encode(noted(outcome(value=value)))


def test_an_origin_is_a_groups_view_of_one_topic() -> None:
    """Offsets of another group, topic or cluster, or of a topic made anew, are other offsets."""
    origins = {
        origin(group, topic, Identity(cluster, topic_id))
        for group in ("g", "h")
        for topic in ("t", "u")
        for cluster in ("c", "d")
        for topic_id in ("", "1")
    }
    assert len(origins) == 16
