"""Mistakes of a partition: what it admits, begins, finishes and commits."""

from streamer.kafka.commit import Commit
from streamer.kafka.partition import Partition
from streamer.kafka.record import ACKNOWLEDGED, ADMITTED, LOST, PUBLISHING, RUNNING
from tests.kafka.mutants.planting import mutant


@mutant("partition")
class OpenFromTheStart(Partition):
    """Records that arrive before the committed offset is known are admitted."""

    def __init__(self, topic, number):
        super().__init__(topic, number)
        self.open(0)
        self.is_open = True

    def open(self, *arguments, **options):
        self.is_open = False
        return super().open(*arguments, **options)


@mutant("partition")
class OpenedAfterItWasClosed(Partition):
    """An assignment that was revoked while its offset was fetched comes to life."""

    def open(self, *arguments, **options):
        self._closed = False
        return super().open(*arguments, **options)


@mutant("partition")
class FinishedWhenSent(Partition):
    """An offset counts as finished when its result is sent, not when it is acknowledged."""

    def publish(self, record):
        kept = super().publish(record)
        if kept:
            self.ledger.finish(record.offset)
        return kept

    def finish(self, record):
        return super().finish(record) or self.is_open


@mutant("partition")
class FinishedWhenRefused(Partition):
    """A result that the broker refused counts as published."""

    def refuse(self, record):
        if self.is_open:
            self.ledger.finish(record.offset)
        return super().refuse(record)


@mutant("partition")
class AcknowledgedTwice(Partition):
    """A second acknowledgement of one record is let through."""

    def finish(self, record):
        if record.state is ACKNOWLEDGED:
            return True
        return super().finish(record)


@mutant("partition")
class CleanWhenSampled(Partition):
    """A commit counts as done when it is sent."""

    def commit(self, **options):
        commit = super().commit(**options)
        if commit is not None:
            self.committed(commit)
        return commit


SAMPLED: dict[bytes, Partition] = {}


class _LiveCommit(Commit):
    """A commit that looks its frontier up again each time."""

    @property
    def frontier(self):
        return SAMPLED[self.nonce].frontier


@mutant("partition")
class FrontierSampledTwice(Partition):
    """Offset and metadata come from two moments."""

    def commit(self, **options):
        commit = super().commit(**options)
        if commit is None:
            return None
        SAMPLED[commit.nonce] = self
        return _LiveCommit(*commit)


@mutant("partition")
class LateAnswersKept(Partition):
    """A closed partition goes on taking answers."""

    def answer(self, record):
        was_open, self.is_open = self.is_open, True
        kept = super().answer(record)
        self.is_open = was_open
        return kept


@mutant("partition")
class LateResultsPublished(Partition):
    """A closed partition goes on sending results."""

    def publish(self, record):
        record.state = PUBLISHING
        return True


@mutant("partition")
class ClosedButNotLost(Partition):
    """What had not begun when the partition was closed still begins."""

    def close(self):
        self.is_open = False
        self._closed = True


@mutant("partition")
class LetGoWhatRuns(Partition):
    """To let go takes what runs, too, so that its answer is thrown away."""

    def let_go(self, **options):
        gone = super().let_go(**options)
        if self.is_open:
            for record in self.ledger.unfinished.values():
                if record.state is RUNNING:
                    self.ledger.lose(record)
                    gone += 1
        return gone


@mutant("partition")
class LetGoMeansFinished(Partition):
    """What was let go is not a hole: nobody will read it again."""

    def let_go(self, **options):
        gone = super().let_go(**options)
        if self.is_open:
            for record in list(self.ledger.unfinished.values()):
                if record.state is LOST:
                    self.ledger.finish(record.offset)
        return gone


@mutant("partition")
class ParkedAreForgotten(Partition):
    """A parked record counts as one that runs, so that a drain waits for it."""

    def let_go(self, **options):
        parked = (
            [r for r in self.ledger.unfinished.values() if r.state is not ADMITTED] if self.is_open else []
        )
        states = [record.state for record in parked]
        for record in parked:
            record.state = RUNNING
        gone = super().let_go(**options)
        for record, state in zip(parked, states, strict=True):
            record.state = state
        return gone


@mutant("partition")
class RunningMiscounted(Partition):
    """A late answer is not taken off the count of what runs: a drain never ends."""

    def answer(self, record):
        kept = super().answer(record)
        self.running += not kept
        return kept


@mutant("partition")
class NothingIsGated(Partition):
    """What no commit tells of begins all the same."""

    def begin(self, record):
        self.reach.acknowledged = max(self.reach.acknowledged, record.offset + 1)
        return super().begin(record)


@mutant("partition")
class ReachCountsWhenSampled(Partition):
    """A promise holds from the moment in which it is made, not from the one in which the broker has it."""

    def commit(self, **options):
        commit = super().commit(**options)
        if commit is not None:
            self.reach.acknowledged = commit.marks.reach
        return commit


@mutant("partition")
class ParkedOnesAreForgottenOnLeaving(Partition):
    """Whoever reads again what was parked and let go takes it for new."""

    def let_go(self, **options):
        below = self.suspicion.below
        gone = super().let_go(**options)
        self.suspicion.below = below
        return gone


@mutant("partition")
class LeavingIsNotSaid(Partition):
    """Who leaves in good order looks like who crashed."""

    def commit(self, **options):
        commit = super().commit(**options)
        return commit and commit._replace(marks=commit.marks._replace(left=False))


@mutant("partition")
class ResumeBelievesItsOldReach(Partition):
    """The leaving commit may have counted though nobody heard of that: what it does not cover begins."""

    def resume(self):
        reach = self.reach.acknowledged
        again = super().resume()
        self.reach.acknowledged = reach
        return again


@mutant("partition")
class ResumeRestartsWhatRuns(Partition):
    """What runs when the partition is taken is lost, and begins anew when it comes back."""

    def suspend(self):
        super().suspend()
        for record in self.ledger.unfinished.values():
            if record.state is RUNNING:
                self.ledger.lose(record)


@mutant("partition")
class ResumeReadsOnWhereItWas(Partition):
    """What was let go is never read again."""

    def resume(self):
        super().resume()
        return self.ledger.position


@mutant("partition")
class SuspendedMeansClosed(Partition):
    """What is answered while the partition is between two assignments is dropped."""

    @property
    def alive(self):
        return self.is_open


@mutant("partition")
class SuspendedGoesOnCommitting(Partition):
    """A partition that may be somebody else's commits, and admits."""

    def suspend(self):
        super().suspend()
        self.is_open = True


@mutant("partition")
class SuspendLetsParkedGo(Partition):
    """A rebalance ends what is parked, and its calls are paid again."""

    def suspend(self):
        self.let_go()
        super().suspend()


@mutant("partition")
class BatchNotInTheMetadata(Partition):
    """Results are in the transaction, and their offsets only in the next one."""

    def commit(self, *, batch=(), **options):
        return super().commit(**options)


@mutant("partition")
class BatchFinishedBeforeItIsCommitted(Partition):
    """To write a transaction counts as its success."""

    def commit(self, *, batch=(), **options):
        commit = super().commit(batch=batch, **options)
        for record in batch:
            self.ledger.finish(record.offset)
        return commit


@mutant("partition")
class LevelNeverResets(Partition):
    """Long after the last suspect has ended, the trials would be as long as at the worst."""

    def commit(self, **options):
        level = self.suspicion.level
        commit = super().commit(**options)
        self.suspicion.level = level
        return commit and commit._replace(marks=commit.marks._replace(level=level))


@mutant("partition")
class SuspectsAreNotTold(Partition):
    """What an owner before may have begun looks new."""

    def deliver(self, messages, position):
        records = super().deliver(messages, position)
        for record in records:
            record.restarted = False
        return records
