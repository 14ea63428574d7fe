"""Whose records count: those of the last owner to begin, wherever reading begins."""

from streamer.kafka.journal.entries import Epoch, Noted
from streamer.kafka.journal.epochs import Epochs
from tests.kafka.journal.outcomes import outcome

FIRST, SECOND = b"first---", b"second--"


def note(nonce: bytes, epoch: int, serial: int = 0) -> Noted:
    return Noted(nonce, b"origin--", epoch, 7, outcome(serial))


def marker(nonce: bytes) -> Epoch:
    return Epoch(nonce, b"origin--")


def admitted(*entries: Epoch | Noted) -> list[bool]:
    epochs = Epochs()
    return [
        epochs.admit(entry) is not None for entry in entries if type(entry) is Noted or epochs.admit(entry)
    ]


def test_before_any_marker_everything_counts() -> None:
    assert admitted(note(FIRST, 0), note(FIRST, 0)) == [True, True]


def test_what_was_noted_before_a_marker_stays_valid_and_what_its_owner_notes_later_does_not() -> None:
    assert admitted(marker(FIRST), note(FIRST, 0), marker(SECOND), note(FIRST, 0), note(SECOND, 2)) == [
        True,
        False,
        True,
    ]


def test_a_former_owner_does_not_count_either_where_the_markers_are_not_read() -> None:
    """They are below the low water, or deleted."""
    assert admitted(note(SECOND, 2), note(FIRST, 0), note(SECOND, 2)) == [True, False, True]
    assert admitted(note(FIRST, 0), note(SECOND, 2), note(FIRST, 0)) == [True, True, False]


def test_a_marker_that_was_written_twice_changes_nothing() -> None:
    assert admitted(marker(SECOND), marker(SECOND), note(SECOND, 1)) == [True]
