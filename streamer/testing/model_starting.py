"""A model of how a partition begins with its owner: with what is committed, and with what is journaled."""

from collections.abc import Callable
from random import Random

from streamer.kafka.journal.entries import origin
from streamer.kafka.journal.log import Log
from streamer.kafka.journal.reading import owned
from streamer.kafka.metadata import Restored
from streamer.kafka.opening import Start
from streamer.kafka.record import Record
from streamer.testing.factory import Factory
from streamer.testing.model_broker import Broker, Committed
from streamer.testing.model_journal import A_FEW, Channel
from streamer.testing.model_opening import Opening
from streamer.testing.report import Report, Violation


class Starting:
    """Opens partitions, or resumes them.

    Checked here: that an opening believes all of the metadata that its group wrote for this very log, and nothing of
    any other, that a partition is resumed by its owner alone (rebalance_keeps_work), that what a crash interrupted
    is known (reach), and that what is journaled is recalled, from those whose time it was (paid_once).
    """

    def __init__(self, factory: Factory, rng: Random, report: Report, broker: Broker) -> None:
        self.factory = factory
        self.rng = rng
        self.random = rng.random
        self.report = report
        self.broker = broker
        self.taken_down: dict[bytes, Record] = {}
        """The openings of workers that a message took down, and which."""

    def open(self, opening: Opening) -> bool:
        """Whether it is open now; False where somebody else had it meanwhile."""
        broker, number = self.broker, opening.partition.number
        if self.report.tampered and self.random() < 0.4:
            broker.damage(number)
        broker.epochs[number] += 1
        opening.epoch = broker.epochs[number]
        held = broker.committed[number]
        restored = None
        if held is not None:
            restored = self.factory.decode(held.text, broker.identity, held.offset)
            self._check_read(restored, held)
        if opening.suspended:
            return self._come_back(opening, restored, held)
        self._begin(opening, restored, held)
        return True

    def _check_read(self, restored: Restored, held: Committed) -> None:
        whole = self._is_whole(held)
        if (restored.reason is None) != whole or restored.frontier != held.offset:
            raise Violation("metadata", f"{restored} is read from {held.text!r} beside {held.offset}")
        if whole and restored.marks != held.marks:
            raise Violation("marks", f"{restored.marks} instead of {held.marks}")
        self.report.restored += len(restored.finished)
        self.report.degraded += not whole

    def _is_whole(self, held: Committed) -> bool:
        return held.identity == self.broker.identity and not held.damaged

    def _begin(self, opening: Opening, restored: Restored | None, held: Committed | None) -> None:
        log, partition = opening.log, opening.partition
        whole = held is not None and self._is_whole(held)
        start = self.factory.starting_point(restored, log.start, log.end)
        frontier = log.start if held is None else max(held.offset, log.start)
        if start.frontier != frontier:
            raise Violation("frontier", f"it begins at {start.frontier}, not {frontier}")
        journal = self._restore(opening, restored, start)
        partition.open(
            start.frontier,
            start.finished,
            nonce=opening.nonce,
            restarted_below=start.restarted_below,
            headroom=opening.headroom,
            journal=journal,
        )
        opening.open(frontier, held.finished if whole and held is not None else frozenset())
        opening.restarted_below = start.restarted_below
        if whole and held is not None:
            self._check_start(opening, held, start.restarted_below, start.crashed)
            if start.crashed:
                self._suspect(opening, held)
        elif start.crashed or start.restarted_below:
            raise Violation("reach", "nothing is known, and there are suspects")
        self._check_journal(opening, held if whole else None, start.unfinished)
        self.report.openings += 1

    def _restore(self, opening: Opening, restored: Restored | None, start: Start) -> Log:
        """As `restore`: mark the journal, and read what counts of it."""
        broker, number, nonce = self.broker, opening.partition.number, opening.nonce
        topic = broker.journals[number]
        whose = owned(restored, start.unfinished, nonce, origin("group", broker.topic, broker.identity))
        log = self.factory.log(nonce, whose.origin, whose.after, few=A_FEW)
        opening.channel = Channel(opening, log, topic, self.rng, self.report)
        opening.channel.mark()
        reading = self.factory.reading(log, whose, topic.beginning)
        if reading.warning is not None and not self.report.tampered:
            raise Violation("paid_once", reading.warning)
        for position in range(reading.start, topic.end):
            reading.read(position, topic.values[position])
        reading.close()
        return log

    def _check_journal(
        self, opening: Opening, held: Committed | None, unfinished: Callable[[int], bool]
    ) -> None:
        """What counts is what the last owner that committed had found and written itself, until it was marked."""
        channel = opening.channel
        found = channel.notes = {
            offset: {which: (kept.outcome.digest, kept.position) for which, kept in task.items()}
            for offset, task in channel.log._tasks.items()  # noqa: SLF001 - all of them, unasked for
        }
        before = held.channel if held is not None else None
        if before is not None and before.log.origin != channel.log.origin:
            before = None  # another cluster, all of a sudden: those are other tasks
        beginning = channel.topic.beginning
        low_water = held.marks.low_water or 0 if held is not None else 0
        for offset, task in before.notes.items() if before is not None else ():
            for which, (digest, position) in task.items() if unfinished(offset) else ():
                if before is not None and (offset, which) in before.unheard and position < low_water:
                    continue  # never settled: nothing was built on it, and where it lies its owner did not know
                known = found.get(offset, {}).get(which)
                if (known is None or known[0] != digest) and (
                    position >= beginning or not self.report.tampered
                ):
                    raise Violation(
                        "paid_once", f"of {which} at {offset}, {known} is found, not {digest!r} at {position}"
                    )
        for offset, task in found.items():
            if not unfinished(offset):
                raise Violation("journal", f"{offset} is finished, and remembered")
            self.report.found += len(task)
            if self.report.tampered or (before is not None and before.marked_late):
                continue
            extra = task.keys() - (before.notes.get(offset, {}).keys() if before is not None else set())
            if extra:
                raise Violation("journal", f"{extra} of {offset} are found, and their owner's time was over")

    def _check_start(self, opening: Opening, held: Committed, below: int, crashed: bool) -> None:
        log, marks = opening.log, held.marks
        self.report.restarted += below > held.offset
        interrupted = marks.reach > held.offset and log.end > held.offset
        if crashed != (interrupted and (not marks.left or marks.level > 0)):
            raise Violation("reach", f"its owner crashed: {not crashed} is right, after {marks}")
        for message in log.messages[log.index(max(below, held.offset)) :]:
            if message.begun and message.offset not in held.finished and not self.report.tampered:
                raise Violation("reach", f"{message.offset} was begun, and {below} is all that is restarted")

    def _suspect(self, opening: Opening, held: Committed) -> None:
        """As `Opener.begin`; and what a crash means, said once more."""
        partition, marks, below = opening.partition, held.marks, opening.restarted_below
        partition.suspect(*self.factory.after_crash(marks))
        found = partition.suspicion
        suspects = len(set(range(held.offset, below)).difference(held.finished))
        if found.suspects != suspects:
            raise Violation("poison", f"{found.suspects} are suspect, not {suspects}")
        opening.crashed, opening.level = True, found.level
        before, after = marks.trial, found.trial
        counted = before is not None and before.alone and marks.began and not marks.left
        if marks.level and before is not None:
            right = before.crashes + counted
            if after is None or (after.offset, after.crashes) != (before.offset, right):
                raise Violation("poison", f"{after} is accused after {marks}")
        elif after is not None:
            raise Violation("poison", f"{after} is accused, and nobody was tried")
        if counted and before is not None:
            guilty = self.taken_down.get(held.nonce)
            suspect = opening.log.at(before.offset)
            if suspect is not None and (guilty is None or guilty.message is not suspect):
                # Killed from outside, cut off, or by one that was parked: from here that looks the same.
                suspect.unjust += 1
        self.report.unclean += 1

    def _come_back(self, opening: Opening, restored: Restored | None, held: Committed | None) -> bool:
        own = held is not None and self._is_whole(held) and held.nonce == opening.nonce
        if self.factory.nobody_had(opening.partition, restored) != own:
            raise Violation("rebalance_keeps_work", f"it may be resumed: {own} is right, after {held}")
        if not own:
            self.report.foreign += 1
            return False
        again = opening.partition.resume()
        expected = min(opening.gone, default=opening.position)
        if again != expected:
            raise Violation("one_result", f"it reads on at {again}, not {expected}")
        opening.index = opening.log.index(again)
        opening.resume()
        self.report.resumed += 1
        return True
