"""Whose records count."""

from collections.abc import Sequence

from streamer.kafka.journal.entries import Entry, Noted


def counting(entries: Sequence[tuple[int, Entry]], owner: bytes) -> list[tuple[int, Noted]]:
    """The notes that count for ``owner``, out of all that was read, with their positions and in their order.

    A marker names the owner before: the one whose commit was the last when it was written. So the lineage is
    that of the commits, and is followed from the end.

    Invariants:

    * What an owner wrote counts up to the marker of the next of its lineage. A former one that thawed, or whose
      last batch came late, overwrites nothing.
    * Who only put a marker, and never committed, was no owner: it ends nobody's time.
    * It makes no difference how much is read below the lowest record that is needed.
    """
    began: dict[bytes, int] = {}  # a lost answer makes a marker twice: its owner's notes know which one it is
    for position, entry in entries:
        if isinstance(entry, Noted):
            began[entry.nonce] = entry.marker
        else:
            began.setdefault(entry.nonce, position)
    found = []
    current: bytes | None = owner
    ended: set[bytes] = set()
    for position, entry in reversed(entries):
        if current is None and entry.nonce not in ended:  # nobody had committed: whoever wrote last before
            current = entry.nonce
        if entry.nonce != current:
            continue
        if isinstance(entry, Noted):
            found.append((position, entry))
        elif began[current] == position:
            ended.add(current)
            current = entry.after
    return found[::-1]
