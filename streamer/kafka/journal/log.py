"""The journal of one partition, as its owner sees it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import islice

from streamer.events import Outcome
from streamer.kafka.journal.entries import Epoch, Noted, Unwritable, encode, key

FEW = 1_000
"""So many records behind the end of the journal anything may stay …"""
SHARE = 4
"""… or so many times what is needed, if that is more; what is older is appended again."""
AT_ONCE = 500
TOO_LARGE = "it is larger than the journal's topic allows (max.message.bytes)"
OVERHEAD = 64
"""Bytes that a record takes beside key and value, and a batch beside its records; at most."""


class Kept:
    """One outcome in memory; ``position`` is its record's offset in the journal, once there is one.

    Until then ``before`` is what the journal holds of the same attempt.
    """

    __slots__ = ("before", "offset", "outcome", "position", "queued")

    def __init__(self, offset: int, outcome: Outcome, position: int = -1) -> None:
        self.offset = offset
        self.outcome = outcome
        self.position = position
        self.queued = False
        self.before: Kept | None = None


class Log:
    """What one owner of a partition wrote to its journal, is writing, and found there of those before.

    Each note has a ticket, a number that grows by one; ticket 0 is the owner's marker, which is written before
    all else. Records are written in batches, one at a time: ``take``, then one of ``written``, ``failed`` and
    ``refused``.

    Invariants:

    * What is settled is recalled: when ``settled(ticket)``, a restore from the ``low_water`` of that moment or
      of any later one finds the note, or a later one of that attempt, unless its task was forgotten.
    * ``low_water`` is at or below every record that is needed: the last one of an attempt that is known to
      be written, of a task that is not forgotten. Without any it is the end, as far as that is known.
    * Tickets are settled in their order, each once; nothing is written twice but what failed and what grew old.
    * The log stays short: with nothing waiting, all that is needed lies within the larger of ``few`` and `SHARE`
      times its number of records before the end.
    """

    def __init__(self, nonce: bytes, origin: bytes, after: bytes | None, *, few: int = FEW) -> None:
        self.nonce = nonce
        self.origin = origin
        self.after = after
        self.few = few
        self.marker: int | None = None
        """Where the owner's marker is; None until it is written."""
        self.end = 0
        self.ticket = 0
        """The last one given."""
        self.unwritable: list[tuple[int, str]] = []
        """Notes that can't be written, as their task's offset and the reason; for the caller to take away."""
        self._tasks: dict[int, dict[tuple[str, int], Kept]] = {}
        self._needed: OrderedDict[Kept, None] = OrderedDict()  # what is in the journal, in its order
        self._pending: deque[Kept] = deque()
        self._taken: list[Kept] = []  # out of `_pending`, by the batch that is under way …
        self._sent: list[Kept] = []  # … and those of them that it holds
        self._marking = False
        self._durable = -1
        self._alone = 0
        self._most = 2**63
        """Bytes of key and value that are not known to be too many."""
        self._size = 0
        """Those of the record that was taken last."""

    # --- what tasks say and ask

    def note(self, offset: int, outcome: Outcome) -> int:
        """Remember it of the task at ``offset``, which is unfinished; the ticket by which to see it durable."""
        kept = Kept(offset, outcome)
        self._keep(kept)
        self._queue(kept)
        return self.ticket

    def recall(self, offset: int, path: str, number: int) -> Outcome | None:
        """What is known of this attempt, whoever noted it."""
        task = self._tasks.get(offset)
        kept = task.get((path, number)) if task is not None else None
        return kept.outcome if kept is not None else None

    def remembers(self, offset: int) -> bool:
        """Whether anything is known of the task."""
        return offset in self._tasks

    def forget(self, offset: int) -> None:
        """The task is finished."""
        task = self._tasks.pop(offset, None)
        if task is not None:
            for kept in task.values():
                self._drop(kept)

    def settled(self, ticket: int) -> bool:
        """Whether it needs no more waiting for: it is durable, or need not be, or can't."""
        return ticket <= self._durable

    @property
    def unsettled(self) -> int:
        """How many tickets are not settled yet."""
        return self.ticket - self._durable

    # --- what the journal holds

    def restore(self, position: int, noted: Noted) -> None:
        """A note that counts, of an unfinished task, read at ``position``; in the order of the journal."""
        kept = Kept(noted.offset, noted.outcome, position)
        self._keep(kept)
        self._enter(kept)

    @property
    def low_water(self) -> int:
        """Where a restore has to begin to read."""
        return next(iter(self._needed)).position if self._needed else self.end

    @property
    def aged(self) -> bool:
        """Whether something needed is so far behind the end that it is to be appended again."""
        return self._is_aged(self.low_water)

    # --- writing

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return self.marker is None or bool(self._pending) or self.aged

    def take(self, most_bytes: int) -> Sequence[tuple[bytes, bytes]]:
        """The next batch, as keys and values: so many bytes at most, but for a single larger record.

        Without any, nothing is under way, and all that waited is settled.
        """
        if self._taken or self._marking:
            raise ValueError("one batch at a time")
        if self.marker is None:
            self._marking = True
            marker = Epoch(self.nonce, self.origin, self.after)
            return [(key(marker), encode(marker))]
        self._queue_aged()
        records: list[tuple[bytes, bytes]] = []
        size = OVERHEAD
        while self._pending:
            kept = self._pending[0]
            record = self._record(kept, self.marker) if self._is_current(kept) else None
            if record is not None:
                size += len(record[0]) + len(record[1]) + OVERHEAD
                if records and (size > most_bytes or self._alone):
                    break
                self._size = len(record[0]) + len(record[1])
                records.append(record)
                self._sent.append(kept)
            self._taken.append(self._pending.popleft())
        if not records:
            self._settle()
        elif self._alone:
            self._alone -= 1
        return records

    def written(self, base: int) -> None:
        """The batch is durable; its first record is at ``base``."""
        if self._marking:
            self._marking = False
            self.marker = base
            self.end = base + 1
            self._durable = 0
            return
        for position, kept in enumerate(self._sent, base):
            if self._is_current(kept):
                kept.position = position
                self._enter(kept)
        self.end = base + len(self._sent)
        self._settle()

    def failed(self) -> None:
        """Whether the batch is durable nobody knows: it is to be taken again."""
        self._marking = False
        self._pending.extendleft(reversed(self._taken))
        self._taken, self._sent = [], []

    def refused(self) -> None:
        """It is too large: its records are to be taken one by one, and one that is it alone is given up.

        So are all that are as large, from then on: to be refused costs the writer its producer.
        """
        if len(self._sent) > 1:
            self._alone = len(self._sent)
        elif self._sent:
            self._most = self._size - 1
            self._give_up(self._sent[0], TOO_LARGE)
        self.failed()

    # --- inside

    def _keep(self, kept: Kept) -> None:
        task = self._tasks.get(kept.offset)
        if task is None:
            task = self._tasks[kept.offset] = {}
        which = (kept.outcome.path, kept.outcome.number)
        before = task.get(which)
        if before is not None:
            kept.before = before if before.position >= 0 else before.before
        task[which] = kept

    def _enter(self, kept: Kept) -> None:
        """It is the last in the journal, and takes the place of what was there of its attempt."""
        self._drop(kept)
        kept.before = None
        self._needed[kept] = None

    def _drop(self, kept: Kept) -> None:
        self._needed.pop(kept, None)
        if kept.before is not None:
            self._needed.pop(kept.before, None)

    def _is_current(self, kept: Kept) -> bool:
        task = self._tasks.get(kept.offset)
        return task is not None and task.get((kept.outcome.path, kept.outcome.number)) is kept

    def _queue(self, kept: Kept) -> None:
        kept.queued = True
        self._pending.append(kept)
        self.ticket += 1

    def _queue_aged(self) -> None:
        for kept in islice(self._needed, AT_ONCE):
            if not self._is_aged(kept.position):
                return
            if not kept.queued:
                self._queue(kept)

    def _is_aged(self, position: int) -> bool:
        return self.end - position > max(self.few, SHARE * len(self._needed))

    def _record(self, kept: Kept, marker: int) -> tuple[bytes, bytes] | None:
        entry = Noted(self.nonce, self.origin, marker, kept.offset, kept.outcome)
        try:
            record = key(entry), encode(entry)
        except Unwritable as error:
            self._give_up(kept, str(error))
            return None
        if len(record[0]) + len(record[1]) > self._most:
            self._give_up(kept, TOO_LARGE)
            return None
        return record

    def _give_up(self, kept: Kept, why: str) -> None:
        """It can't be written, and is unknown from now on."""
        self.unwritable.append((kept.offset, why))
        del self._tasks[kept.offset][kept.outcome.path, kept.outcome.number]
        self._drop(kept)

    def _settle(self) -> None:
        for kept in self._taken:
            kept.queued = False
        self._durable += len(self._taken)
        self._taken, self._sent = [], []
