"""A model of exactly-once: results and commits go together, or not at all."""

from dataclasses import dataclass

from streamer.kafka.record import Record
from streamer.testing.model_committing import Committing, Sending
from streamer.testing.model_opening import Opening
from streamer.testing.report import Violation


@dataclass(eq=False)
class Transaction:
    """Some results and the commit that says so, written by the producer of an epoch."""

    sending: Sending
    records: list[Record]
    epoch: int
    asked: bool = False
    """Its end was asked for, and what became of it nobody has said."""


class Transactions(Committing):
    """One transaction at a time for each opening; the broker refuses those of producers that were fenced off.

    Checked here: exactly_once, key_order across owners, and that what is committed is exactly what has results.
    """

    def sample(self, opening: Opening, *, leaving: bool = False, whole: bool = False) -> bool:
        """Begin a transaction, if there is anything to say and none is under way."""
        if opening.transaction is not None:
            if opening.transaction.asked:
                self.look(opening)
            return False
        if not opening.opened:
            return self.take(opening, leaving=leaving) is not None
        most = 1000 if whole else int(self.random() * 6)
        records = [] if leaving else self._answers(opening, most)
        sending = self.take(opening, leaving=leaving, batch=records)
        if sending is None:
            if records:
                raise Violation("commit", "results have nothing to be committed with")
            return False
        opening.transaction = Transaction(sending, records, opening.epoch)
        self.unsent.append(sending)
        return True

    def hand_over(self, sending: Sending, failing: float) -> None:
        """Ask for its end."""
        opening = sending.opening
        transaction = opening.transaction
        assert transaction is not None
        if transaction.epoch != self.broker.epochs[opening.partition.number]:
            self.report.fenced += 1
            self._put_back(opening, transaction)
            opening.fenced = True
            return
        chance = self.random()
        if chance < failing:
            self.report.aborted += 1
            self._put_back(opening, transaction)
            return
        if chance < 1 - failing:
            self.decide(transaction.sending)
        if chance < 1 - 2 * failing:
            self.succeed(transaction.sending)
        else:
            self.report.unknown += 1
            transaction.asked = True
            if opening.closed:
                self.forsake(opening)

    def look(self, opening: Opening) -> None:
        """A new producer ends what was left open; then the broker says what became of it."""
        transaction, number = opening.transaction, opening.partition.number
        assert transaction is not None
        if opening.epoch != self.broker.epochs[number]:
            self._put_back(opening, transaction)
            opening.fenced = True
            return
        self.broker.epochs[number] += 1
        opening.epoch = self.broker.epochs[number]
        held, sending = self.broker.committed[number], transaction.sending
        if held is not None and (held.offset, held.text) == (sending.commit.frontier, sending.text):
            self.succeed(transaction.sending)
        else:
            self._put_back(opening, transaction)

    def reply(self) -> None:
        """Who ends a transaction hears of it at once, or never."""

    def settle(self, opening: Opening) -> None:
        transaction = opening.transaction
        if transaction is None:
            return
        if not transaction.asked:
            self.unsent.remove(transaction.sending)
            if self.random() < 0.5 and transaction.epoch == self.broker.epochs[opening.partition.number]:
                transaction.sending.text = self.encode(transaction.sending)
                self.decide(transaction.sending)
        self.look(opening)

    def leave(self, opening: Opening) -> None:
        """All results that are there, and then the last commit."""
        for leaving in (False, True):
            if opening.transaction is not None:
                if self.random() < 0.5:
                    return
                self.settle(opening)
            if opening.fenced or not self.sample(
                opening, leaving=leaving, **({} if leaving else {"whole": True})
            ):
                continue
            self.report.left += leaving
            while self.random() < 0.9 and opening.transaction is not None and not opening.transaction.asked:
                sending = opening.transaction.sending
                self.unsent.remove(sending)
                self.unsent.insert(0, sending)
                self.send(0.25)
            if opening.transaction is not None:
                return

    def forsake(self, opening: Opening) -> None:
        """It is closed: what became of its transaction is for the next owner to read."""
        if opening.transaction is not None and opening.transaction.asked:
            self._put_back(opening, opening.transaction)

    def abandon(self) -> None:
        """The worker crashes after it asked for the end of some, or before."""
        for sending in self.unsent:
            transaction = sending.opening.transaction
            number = sending.opening.partition.number
            if (
                transaction is not None
                and sending.text is not None
                and transaction.epoch == self.broker.epochs[number]
                and self.random() < 0.5
            ):
                self.decide(transaction.sending)

    def _answers(self, opening: Opening, most: int) -> list[Record]:
        answered = self.worker.answered
        records = [record for record in answered if record.partition is opening.partition][:most]
        for record in records:
            answered.remove(record)
            if not record.partition.publish(record):
                raise Violation("late", f"{record!r} is not sent, though its partition is open")
        return records

    def decide(self, sending: Sending) -> None:
        """The broker commits it."""
        transaction, log = sending.opening.transaction, sending.opening.log
        assert transaction is not None
        for record in transaction.records:
            self.worker.arrive(record)
            if record.message.results > 1:
                raise Violation("exactly_once", f"{record!r} has {record.message.results} results")
            if self.report.keyed and record.key is not None:
                if log.published.get(record.key, -1) >= record.offset:
                    raise Violation("key_order", f"{record!r} is published after {log.published[record.key]}")
                log.published[record.key] = record.offset
        self.apply(sending)
        self.report.transactions += 1

    def succeed(self, sending: Sending) -> None:
        opening, transaction = sending.opening, sending.opening.transaction
        assert transaction is not None
        opening.transaction = None
        for record in transaction.records:
            self.worker.finish(record)
        self.acknowledge(sending)

    def _put_back(self, opening: Opening, transaction: Transaction) -> None:
        opening.transaction = None
        for record in transaction.records:
            self.worker.refuse(record)
