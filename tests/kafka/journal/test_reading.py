"""What a new owner believes of the journal, however much of it is of finished tasks."""

from collections.abc import Container

from streamer.kafka.journal.entries import Entry, Epoch, Noted, encode
from streamer.kafka.journal.log import Log
from streamer.kafka.journal.reading import Owned, Reading
from tests.kafka.journal.outcomes import outcome

ORIGIN = b"origin--"
A, B, C = b"a-------", b"b-------", b"c-------"


def note(nonce: bytes, marker: int, offset: int, serial: int) -> Noted:
    return Noted(nonce, ORIGIN, marker, offset, outcome(serial))


def remembered(*entries: Entry, after: bytes | None, finished: Container[int]) -> Log:
    """The log of C, whose marker follows these."""
    log = Log(C, ORIGIN, after)
    log.take(1000)
    log.written(len(entries))
    owned = Owned(C, ORIGIN, after, 0, lambda offset: offset not in finished)
    reading = Reading(log, owned, 0)
    for position, entry in enumerate((*entries, Epoch(C, ORIGIN, after))):
        reading.read(position, encode(entry))
    reading.close()
    return log


def known(log: Log, offset: int) -> int | None:
    found = log.recall(offset, "a", 1)
    return int.from_bytes(found.digest) if found is not None else None


def test_whose_time_it_was_is_told_by_notes_of_finished_tasks_too() -> None:
    """Nobody had committed, and A wrote last: of a task that is finished now, and its answers stay the ones that count."""
    entries = (note(A, 0, 3, 1), note(B, 0, 3, 2), note(A, 0, 7, 3))
    for finished in ((), (7,)):
        log = remembered(*entries, after=None, finished=finished)
        assert known(log, 3) == 1


def test_nothing_is_remembered_of_finished_tasks() -> None:
    log = remembered(note(A, 0, 3, 1), note(A, 0, 7, 2), after=A, finished=(7,))
    assert (known(log, 3), known(log, 7)) == (1, None)


def test_of_notes_of_finished_tasks_in_a_row_one_is_kept_while_it_is_read() -> None:
    """They may be many, and large."""
    log = Log(C, ORIGIN, A)
    log.take(1000)
    log.written(100)
    reading = Reading(log, Owned(C, ORIGIN, A, 0, lambda offset: False), 0)
    for position in range(100):
        reading.read(position, encode(note(A, 0, position, position)))
    assert len(reading.entries) == 1
