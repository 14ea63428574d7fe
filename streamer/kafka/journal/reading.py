"""What a new owner reads of a partition's journal, and what of that it believes."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from streamer.kafka.journal.entries import Entry, Epoch, Noted, decode
from streamer.kafka.journal.lineage import counting
from streamer.kafka.journal.log import Log
from streamer.kafka.metadata import Restored


class Owned(Struct, frozen=True):
    """A partition that is being opened.

    ``origin`` says whose offsets they are (`entries.origin`), ``after`` and ``low_water`` are the nonce and the
    low water that are committed, None where none are; ``unfinished`` tells which of the input's offsets are still
    to be worked on.
    """

    nonce: bytes
    origin: bytes
    after: bytes | None
    low_water: int | None
    unfinished: Callable[[int], bool]


def owned(restored: Restored | None, unfinished: Callable[[int], bool], nonce: bytes, origin: bytes) -> Owned:
    """What the committed metadata says of the journal; nothing where it may not be believed."""
    marks = restored.marks if restored is not None and not restored.topic_made_anew else None
    return Owned(
        nonce=nonce,
        origin=origin,
        after=restored.nonce if marks is not None and restored is not None else None,
        low_water=marks.low_water if marks is not None else None,
        unfinished=unfinished,
    )


class Reading:
    """One partition's journal, read up to its new owner's marker."""

    def __init__(self, log: Log, owned: Owned, beginning: int) -> None:
        marker = log.marker
        assert marker is not None, "the marker is written first"
        self.log = log
        self.marker = marker
        self.unfinished = owned.unfinished
        self.entries: list[tuple[int, Entry]] = []
        self.unreadable = 0
        self.start, self.warning = starting_point(owned.low_water, beginning, marker)

    def read(self, position: int, value: bytes | None) -> None:
        """One record."""
        if position > self.marker:
            return
        entry = decode(value)
        if entry is None:
            self.unreadable += 1
            return
        if entry.origin == self.log.origin and not self.repeats(entry):
            self.entries.append((position, entry))

    def repeats(self, entry: Entry) -> bool:
        """Whether it is of a finished task and tells nothing of whose time it was, either."""
        if isinstance(entry, Epoch) or self.unfinished(entry.offset):
            return False
        before = self.entries[-1][1] if self.entries else None
        return isinstance(before, Noted) and (before.nonce, before.marker) == (entry.nonce, entry.marker)

    def close(self) -> None:
        """All is read: the log remembers what counts."""
        for position, noted in counting(self.entries, self.log.nonce):
            if self.unfinished(noted.offset):
                self.log.restore(position, noted)
        self.entries = []


def starting_point(low_water: int | None, beginning: int, marker: int) -> tuple[int, str | None]:
    """Where to begin to read, and what to warn of."""
    if low_water is None:
        return beginning, None
    if low_water > marker:
        return beginning, (
            f"the journal was made anew (its end is {marker}, {low_water} was committed); what it remembered is gone"
        )
    if low_water < beginning:
        return beginning, (
            f"{beginning - low_water} records of the journal were deleted before their tasks were finished (its "
            "retention.ms is too short); their steps may be paid again"
        )
    return low_water, None
