"""Mistakes of what is remembered of paid calls."""

from msgspec import structs

from streamer.kafka.journal.entries import Noted, decode, encode
from streamer.kafka.journal.log import Log
from streamer.kafka.journal.memory import TaskMemory
from streamer.kafka.journal.reading import Reading
from tests.kafka.mutants.planting import mutant


@mutant("log")
class LowWaterIsTheEnd(Log):
    """What is written is thought to be remembered, whether or not its task is finished."""

    @property
    def low_water(self):
        return self.end


@mutant("log")
class LowWaterBehindTheFirst(Log):
    """The record that is needed first is thought to be read already."""

    @property
    def low_water(self):
        return min(super().low_water + 1, self.end)


@mutant("log")
class NothingIsForgotten(Log):
    """What finished tasks noted is kept for ever: the journal never gets shorter."""

    def forget(self, offset):
        """The task is finished."""


@mutant("log")
class ForgottenByItsFirstStep(Log):
    """With each note of a task those before it are dropped."""

    def note(self, offset, outcome):
        self.forget(offset)
        return super().note(offset, outcome)


@mutant("log")
class AgedAreMovedInMemoryOnly(Log):
    """What grew old counts as appended again, and is not."""

    def _queue_aged(self):
        for kept in [kept for kept in self._needed if self._is_aged(kept.position)]:
            kept.position = self.end
            self._needed.move_to_end(kept)


@mutant("log")
class AgedAreForgotten(Log):
    """What grew old is appended again, but for one."""

    def _queue_aged(self):
        first = next(iter(self._needed), None)
        if first is not None and self._is_aged(first.position) and not first.queued:
            del self._needed[first]
        super()._queue_aged()


@mutant("log")
class NothingGrowsOld(Log):
    """One task that takes long keeps all that was noted since."""

    def _is_aged(self, position):
        return False


@mutant("log")
class SettledWhenTaken(Log):
    """What is sent counts as durable."""

    def settled(self, ticket):
        return super().settled(ticket - len(self._taken))


@mutant("log")
class SettledWhenNoted(Log):
    """Nobody waits for the journal."""

    def settled(self, ticket):
        return True


@mutant("log")
class FailedMeansWritten(Log):
    """A batch whose answer was lost is taken for durable."""

    def failed(self):
        if self._taken:
            self.written(self.end)
        else:
            super().failed()


@mutant("log")
class TooLargeMeansDropped(Log):
    """A batch that is too large as a whole is given up as a whole."""

    def refused(self):
        self._settle()


class _Read(Reading):
    """Reads everything, and believes what `counted` says."""

    def close(self):
        for position, noted in self.counted():
            if self.unfinished(noted.offset):
                self.log.restore(position, noted)


@mutant("reading")
class MarkersIgnored(_Read):
    """Whatever anybody wrote counts, and the last of them most."""

    def counted(self):
        return [(position, entry) for position, entry in self.entries if isinstance(entry, Noted)]


@mutant("reading")
class LineageOfOne(_Read):
    """Only the owner right before is believed, and what it had found itself is lost with it."""

    def counted(self):
        return [(p, e) for p, e in self.entries if isinstance(e, Noted) and e.nonce == self.log.after]


@mutant("reading")
class LineageByMarkers(_Read):
    """Who marked the journal last was its owner, whether it ever committed or not."""

    def counted(self):
        found, current = [], None
        for position, entry in self.entries:
            if not isinstance(entry, Noted):
                current = entry.nonce
            elif current in (None, entry.nonce):
                found.append((position, entry))
        return found


@mutant("reading")
class LineageWithoutTime(_Read):
    """Whoever was an owner once is believed, whenever it wrote."""

    def counted(self):
        owners = {e.after for _, e in self.entries if not isinstance(e, Noted)}
        return [(p, e) for p, e in self.entries if isinstance(e, Noted) and e.nonce in owners]


@mutant("reading")
class OriginIgnored(Reading):
    """The notes of a topic made anew are taken for those of the one before."""

    def read(self, position, value):
        entry = decode(value)
        if entry is not None:
            value = encode(structs.replace(entry, origin=self.log.origin))
        super().read(position, value)


@mutant("reading")
class ReadFromItsMarker(Reading):
    """Nobody reads what was there before."""

    def __init__(self, log, owned, beginning):
        super().__init__(log, owned, beginning)
        self.start = self.marker


@mutant("reading")
class FinishedAreRecalled(Reading):
    """What is noted of tasks that are finished is remembered, for ever."""

    def __init__(self, log, owned, beginning):
        super().__init__(log, owned, beginning)
        self.unfinished = lambda offset: True


@mutant("memory")
class NothingIsRecalled(TaskMemory):
    """A task that starts again starts at its first step."""

    def recall(self, path, number):
        return None


@mutant("memory")
class AttemptsAreConfused(TaskMemory):
    """The first attempt of a step stands for all."""

    def note(self, outcome):
        super().note(structs.replace(outcome, number=1))


@mutant("truncation")
def truncated_to_what_is_needed_now(partitions):
    """What no commit says yet is believed: after a crash it never was."""
    return {p.number: p.journal.low_water for p in partitions if p.is_open}


@mutant("truncation")
def truncated_to_the_end(partitions):
    """Whatever was written before is deleted, unfinished or not."""
    return {p.number: p.journal.end for p in partitions if p.is_open}
