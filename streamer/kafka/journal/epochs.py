"""Whose records count."""

from streamer.kafka.journal.entries import Entry, Epoch, Noted


class Epochs:
    """Follows the owners of a partition through its journal, read in order from anywhere.

    Invariants:

    * Behind a marker only its owner's records count, until the next marker: a former owner that thawed, or whose
      last batch came late, overwrites nothing.
    * Before the first marker that is read, a record counts unless one of a later epoch came before it. So it
      makes no difference whether the reading begins before or behind the marker of who wrote.
    """

    __slots__ = ("_epoch", "_marked", "_owner")

    def __init__(self) -> None:
        self._owner: bytes | None = None
        self._epoch = -1
        self._marked = False

    def admit(self, entry: Entry) -> Noted | None:
        """The next entry, if it is a note that counts."""
        if type(entry) is Epoch:
            self._owner = entry.nonce
            self._marked = True
            return None
        assert type(entry) is Noted
        if entry.nonce != self._owner:
            if self._marked or entry.epoch < self._epoch:
                return None
            self._owner, self._epoch = entry.nonce, entry.epoch
        return entry
