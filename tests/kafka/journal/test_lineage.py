"""Whose records count: those of each owner in its time, as the commits have it."""

from streamer.kafka.journal.entries import Entry, Epoch, Noted
from streamer.kafka.journal.lineage import counting
from tests.kafka.journal.outcomes import outcome

ORIGIN = b"origin--"
A, B, C = b"a-------", b"b-------", b"c-------"


def note(nonce: bytes, marker: int) -> Noted:
    return Noted(nonce, ORIGIN, marker, 7, outcome())


def marker(nonce: bytes, after: bytes | None) -> Epoch:
    return Epoch(nonce, ORIGIN, after)


def counted(*entries: Entry, owner: bytes = C) -> list[int]:
    return [position for position, _ in counting(list(enumerate(entries)), owner)]


def test_what_each_owner_noted_in_its_time_counts() -> None:
    assert counted(marker(A, None), note(A, 0), marker(B, A), note(B, 2), marker(C, B)) == [1, 3]


def test_what_a_former_owner_notes_later_does_not() -> None:
    """Also where reading begins behind the markers."""
    late = note(A, 0)
    assert counted(marker(A, None), note(A, 0), marker(B, A), late, note(B, 2), late, marker(C, B)) == [1, 4]
    assert counted(late, note(B, 2), late, marker(C, B)) == [1]


def test_who_marked_the_journal_and_did_not_commit_ends_nobodys_time() -> None:
    """The partition came back to its owner, or that one's marker was written late."""
    assert counted(marker(A, None), note(A, 0), marker(B, A), note(A, 0), marker(C, A)) == [1, 3]
    assert counted(marker(A, None), marker(B, A), note(B, 1), marker(A, None), note(B, 1), marker(C, B)) == [
        2,
        4,
    ]


def test_a_marker_that_was_written_twice_changes_nothing() -> None:
    """Nor when the second comes late, wherever reading begins."""
    assert counted(note(A, 0), marker(B, A), note(B, 1), marker(B, A), note(B, 1), marker(C, B)) == [0, 2, 4]
    assert counted(note(B, 0), note(A, 0), marker(B, A), note(B, 0), marker(C, B)) == [0, 3]


def test_where_nothing_is_committed_it_is_whoever_wrote_last() -> None:
    """The group's offsets were reset, say."""
    assert counted(marker(A, None), note(A, 0), marker(B, A), note(B, 2), marker(C, None)) == [1, 3]
    assert counted(note(A, 0), note(A, 0), marker(C, None)) == [0, 1]


def test_an_owner_that_knew_of_none_before_is_not_its_own_predecessor() -> None:
    """Its marker was written twice, and its notes say that the second one counts."""
    assert counted(
        marker(A, None), note(A, 0), marker(B, None), marker(B, None), note(B, 3), marker(C, B)
    ) == [1, 4]


def test_an_empty_journal_has_nothing() -> None:
    assert counted() == counted(marker(C, A)) == []
