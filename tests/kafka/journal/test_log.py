"""What a partition's journal promises its owner, against a naive reading of all that was ever written."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streamer.kafka.journal.entries import Epoch, Noted, decode, encode
from streamer.kafka.journal.lineage import counting
from streamer.kafka.journal.log import FEW, SHARE, Log
from tests.kafka.journal.outcomes import outcome

MUCH = 10**6
ORIGIN = b"origin--"
A_FEW = 8


def opened(nonce: bytes = b"me------", at: int = 0) -> Log:
    log = Log(nonce, ORIGIN, None)
    (marker,) = log.take(MUCH)
    assert decode(marker[1]) == Epoch(nonce, ORIGIN, None)
    log.written(at)
    return log


def serials(records: Any) -> list[int]:
    return [int.from_bytes(decode(value).outcome.digest) for _, value in records]


def test_the_marker_is_written_before_all_else() -> None:
    """A note made meanwhile waits; the marker that failed is written again."""
    log = Log(b"me------", ORIGIN, None)
    ticket = log.note(7, outcome())
    assert len(log.take(MUCH)) == 1
    log.failed()
    assert not log.settled(0)
    (marker,) = log.take(MUCH)
    assert decode(marker[1]) == Epoch(b"me------", ORIGIN, None)
    log.written(40)
    assert (log.marker, log.end, log.settled(0), log.settled(ticket)) == (40, 41, True, False)


def test_a_note_is_settled_when_its_batch_is_written() -> None:
    log = opened()
    ticket = log.note(7, outcome())
    assert len(log.take(MUCH)) == 1
    assert not log.settled(ticket)
    log.written(5)
    assert log.settled(ticket)
    assert (log.low_water, log.end) == (5, 6)


def test_what_was_forgotten_before_it_was_written_is_not_written() -> None:
    """Most tasks end before their notes would leave: those cost no byte."""
    log = opened()
    forgotten, kept = log.note(7, outcome(1)), log.note(8, outcome(2))
    log.forget(7)
    assert serials(log.take(MUCH)) == [2]
    assert not log.settled(forgotten)
    log.written(1)
    assert log.settled(kept)
    log.note(9, outcome(3))
    log.forget(9)
    assert log.take(MUCH) == []
    assert log.settled(log.ticket)


def test_what_is_forgotten_while_it_is_written_is_not_needed() -> None:
    log = opened()
    log.note(7, outcome())
    log.take(MUCH)
    log.forget(7)
    log.written(1)
    assert log.low_water == log.end == 2


def test_a_failed_batch_is_taken_again_before_what_came_later() -> None:
    log = opened()
    log.note(7, outcome(1))
    log.note(7, outcome(2, number=2))
    log.take(MUCH)
    log.note(7, outcome(3, number=3))
    log.failed()
    assert serials(log.take(MUCH)) == [1, 2, 3]


def test_a_note_whose_answer_was_lost_is_not_settled_until_it_is_written_again() -> None:
    """It may be in the journal, where nobody knows: the low water may pass it, and nothing is built on it before."""
    log = opened()
    first, second = log.note(7, outcome(1)), log.note(8, outcome(2))
    log.take(MUCH)
    log.failed()  # they are at 1 and 2, if anywhere
    assert serials(log.take(1)) == [1]
    log.written(3)
    assert (log.low_water, log.settled(first), log.settled(second)) == (3, True, False)
    assert serials(log.take(MUCH)) == [2]


def test_a_batch_holds_so_many_bytes_at_most_but_for_one_larger_record() -> None:
    log = opened()
    for serial in range(10):
        log.note(serial, outcome(serial, value="x" * 1_000))
    records = log.take(4_000)
    assert 1 < len(records) < 4
    assert sum(len(key) + len(value) for key, value in records) <= 4_000
    log.written(1)
    assert len(log.take(10)) == 1


def test_the_one_of_a_batch_that_is_too_large_is_found_and_given_up() -> None:
    """The others are written; who waits for it need not wait longer."""
    log = opened()
    tickets = [log.note(offset, outcome(offset, value="x" * (offset == 1))) for offset in range(3)]
    assert len(log.take(MUCH)) == 3
    log.refused()
    written = []
    while log.waiting:
        records = log.take(MUCH)
        if serials(records) == [1]:
            log.refused()
        elif records:
            assert len(records) == 1
            written += serials(records)
            log.written(len(written))
    assert written == [0, 2]
    assert [offset for offset, _ in log.unwritable] == [1]
    assert all(map(log.settled, tickets))
    assert log.recall(1, "a", 1) is None


def test_what_is_as_large_as_what_was_refused_is_not_tried() -> None:
    """To be refused costs the writer its producer; what is smaller is tried as before."""
    log = opened()
    log.note(1, outcome(value="x" * 1_000))
    log.take(MUCH)
    log.refused()
    assert log.take(MUCH) == []
    for offset, size in ((2, 1_001), (3, 1_000), (4, 999)):
        log.note(offset, outcome(offset, value="x" * size))
    assert serials(log.take(MUCH)) == [4]
    assert [offset for offset, _ in log.unwritable] == [1, 2, 3]


def test_what_cannot_be_encoded_is_given_up() -> None:
    log = opened()
    ticket = log.note(7, outcome(value=object()))
    assert log.take(MUCH) == []
    assert log.settled(ticket)
    ((offset, why),) = log.unwritable
    assert offset == 7
    assert "object" in why


def test_what_grew_old_is_appended_again() -> None:
    """One parked task among many quick ones does not pin all that they wrote."""
    log = opened()
    log.note(0, outcome(7))
    log.take(MUCH)
    log.written(1)
    for offset in range(1, FEW + 1):
        log.note(offset, outcome())
        log.take(MUCH)
        log.written(offset + 1)
        log.forget(offset)
    assert (log.low_water, log.waiting) == (1, True)
    for _ in range(2):
        assert serials(log.take(MUCH)) == [7]
        assert log.low_water == 1
        log.failed()
    log.take(MUCH)
    log.written(log.end)
    assert (log.low_water, log.waiting) == (FEW + 2, False)


def test_what_is_noted_anew_is_needed_until_the_new_note_is_written() -> None:
    """A crash between finds one of the two."""
    log = opened()
    log.restore(0, decode(encode(Noted(b"other---", ORIGIN, 0, 7, outcome(1)))))
    log.note(7, outcome(2))
    log.note(7, outcome(3))
    assert log.low_water == 0
    assert serials(log.take(MUCH)) == [3]
    log.written(1)
    assert log.low_water == 1
    log.note(7, outcome(4))
    log.forget(7)
    assert log.low_water == log.end


class LogMachine(RuleBasedStateMachine):
    """Owners that come one after the other, and go on writing after they were replaced."""

    @initialize()
    def begin(self) -> None:
        self.serial = 0
        self.journal: list[Any] = []
        self.committed = (0, frozenset())
        self.finished: set[int] = set()
        self.promised: dict[tuple[int, str, int], int] = {}
        self.owners: list[Log] = []
        self.tickets: dict[Log, list[tuple[int, tuple[int, str, int], int]]] = {}
        self.under_way: dict[Log, list[Any]] = {}
        self.open(0)

    @property
    def owner(self) -> Log:
        return self.owners[-1]

    @rule(lost=st.integers(0, 2))
    def open(self, lost: int) -> None:
        """The owner crashes, or thinks it is one still; another begins from what was committed."""
        before = self.owner.nonce if self.owners else None
        log = Log(len(self.owners).to_bytes(8), ORIGIN, before, few=A_FEW)
        for _ in range(lost):
            self.append(log, log.take(MUCH))
            log.failed()
        log.written(self.append(log, log.take(MUCH)))
        low_water, finished = self.committed
        entries = [(at, self.journal[at][1]) for at in range(low_water, log.marker + 1)]
        for position, noted in counting(entries, log.nonce):
            if noted.offset not in finished:
                log.restore(position, noted)
        self.owners.append(log)
        self.tickets[log] = []
        self.finished = set(finished)
        self.what_is_settled_is_recalled()

    def what_is_settled_is_recalled(self) -> None:
        """What is promised is what its owner wrote last in its time; all else was written by somebody."""
        truth: dict[tuple[int, str, int], int] = {}
        written: set[tuple[tuple[int, str, int], int]] = set()
        for in_time, entry in self.journal:
            if isinstance(entry, Noted):
                which = (entry.offset, entry.outcome.path, entry.outcome.number)
                serial = int.from_bytes(entry.outcome.digest)
                written.add((which, serial))
                if in_time:
                    truth[which] = serial
        for which in [(offset, path, 1) for offset in range(6) for path in "ab"]:
            found = self.owner.recall(*which)
            serial = None if found is None else int.from_bytes(found.digest)
            if which[0] in self.finished:
                assert serial is None
            elif which in self.promised:
                assert serial == truth[which] >= self.promised[which]
            else:
                assert serial is None or (which, serial) in written

    def append(self, log: Log, records: Any) -> int:
        """What is written, with whether it was in its owner's time."""
        base = len(self.journal)
        self.journal += [(log is self.owners[-1] if self.owners else False, decode(v)) for _, v in records]
        return base

    @rule(data=st.data())
    def mark(self, data: st.DataObject) -> None:
        """A marker that comes late, or of one that had the partition for a moment and never committed."""
        passer_by = Log(b"passerby", ORIGIN, self.owner.nonce, few=A_FEW)
        log = data.draw(st.sampled_from([passer_by, *self.owners]))
        self.journal.append((False, Epoch(log.nonce, ORIGIN, log.after)))

    @rule(data=st.data(), offset=st.integers(0, 5), path=st.sampled_from("ab"))
    def note(self, data: st.DataObject, offset: int, path: str) -> None:
        log = data.draw(st.sampled_from(self.owners[-2:]))
        if log is self.owner and offset in self.finished:
            return
        self.serial += 1
        ticket = log.note(offset, outcome(self.serial, path=path))
        self.tickets[log].append((ticket, (offset, path, 1), self.serial))

    @rule(data=st.data(), size=st.sampled_from([1, 700, MUCH]))
    def take(self, data: st.DataObject, size: int) -> None:
        log = data.draw(st.sampled_from(self.owners[-2:]))
        if log not in self.under_way:
            records = log.take(size)
            if records:
                self.under_way[log] = records
            else:
                self.promise(log)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), fate=st.sampled_from(["written", "written", "written", "lost answer", "lost"]))
    def answer(self, data: st.DataObject, fate: str) -> None:
        log = data.draw(st.sampled_from(list(self.under_way)))
        records = self.under_way.pop(log)
        base = len(self.journal)
        if fate != "lost":
            self.append(log, records)
        if fate == "written":
            log.written(base)
            self.promise(log)
        else:
            log.failed()

    def promise(self, log: Log) -> None:
        """Tickets are settled in their order, each once."""
        waiting = [entry for entry in self.tickets[log] if not log.settled(entry[0])]
        settled = self.tickets[log][: len(self.tickets[log]) - len(waiting)]
        assert settled + waiting == self.tickets[log]
        self.tickets[log] = waiting
        noted_anew = {which for _, which, _ in waiting}
        for _, which, serial in settled if log is self.owner else ():
            if which[0] not in self.finished and which not in noted_anew:
                self.promised[which] = serial

    @rule(offset=st.integers(0, 5))
    def forget(self, offset: int) -> None:
        self.finished.add(offset)
        self.owner.forget(offset)

    @rule()
    def commit(self) -> None:
        self.committed = (self.owner.low_water, frozenset(self.finished))
        self.promised = {w: serial for w, serial in self.promised.items() if w[0] not in self.finished}

    @invariant()
    def low_water_is_at_or_below_every_record_that_is_needed(self) -> None:
        for log in self.owners:
            needed = [kept.position for kept in log._needed]
            assert needed == sorted(needed)
            assert log.low_water == min(needed, default=log.end)
            current = [kept for task in log._tasks.values() for kept in task.values()]
            assert set(log._needed) <= {*current, *(kept.before for kept in current)}

    @invariant()
    def each_ticket_is_settled_once(self) -> None:
        for log in self.owners:
            waiting = [*log._taken, *log._pending]
            assert log.unsettled == len(waiting)
            assert len(set(waiting)) == len(waiting)

    @invariant()
    def the_log_stays_short(self) -> None:
        for log in self.owners:
            if not log.waiting:
                needed = len(log._needed)
                assert log.end - log.low_water <= max(A_FEW, SHARE * needed)

    @precondition(lambda self: self.owner not in self.under_way)
    @rule()
    def write_all(self) -> None:
        """Nothing is written twice but what failed and what grew old; so writing comes to an end."""
        log, rounds = self.owner, 0
        while log.waiting:
            records = log.take(MUCH)
            if records:
                log.written(self.append(log, records))
            rounds += 1
            assert rounds < 10
        self.promise(log)
        assert log.settled(log.ticket)


TestLog = LogMachine.TestCase
TestLog.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_one_batch_at_a_time() -> None:
    log = opened()
    log.note(7, outcome())
    log.take(MUCH)
    with pytest.raises(ValueError, match="one batch at a time"):
        log.take(MUCH)
