"""The simulator finds every mistake that is planted in the objects it drives.

Each mutant is one small mistake of the kind that has lost or repeated work in real systems. A mutant that is not
found means that the simulator does not check what its docstring says.
"""

from itertools import islice

import pytest
from msgspec import structs

from streamer.kafka import metadata
from streamer.kafka.checkpoint import Checkpoint
from streamer.kafka.commit import Commit
from streamer.kafka.journal.entries import Noted, decode, encode
from streamer.kafka.journal.log import Log
from streamer.kafka.journal.memory import TaskMemory
from streamer.kafka.journal.reading import Reading
from streamer.kafka.lanes import Lanes
from streamer.kafka.ledger import Ledger
from streamer.kafka.metadata import Identity
from streamer.kafka.opening import Start, starting_point
from streamer.kafka.partition import Partition
from streamer.kafka.quarantine import after_crash, charge
from streamer.kafka.reach import Reach
from streamer.kafka.record import ACKNOWLEDGED, ADMITTED, ANSWERED, LOST, PUBLISHING, RUNNING
from streamer.testing.simulator import Factory, Violation, run

SEEDS = (1, 2, 5, 6, 8, 13, 34, 0, 29, 32)
STEPS = 5_000

MUTANTS: dict[str, Factory] = {}


def mutant(kind: str):
    """Register the decorated class or function as the one mistake of a factory."""

    def plant(wrong):
        name = wrong.__name__
        if kind in ("ledger", "reach", "checkpoint"):
            wrong = type(name, (Partition,), {f"{kind}_type": wrong})
            MUTANTS[name] = Factory(partition=wrong)
        else:
            MUTANTS[name] = Factory(**{kind: wrong})
        return wrong

    return plant


@mutant("ledger")
class FrontierOffByOne(Ledger):
    """The last finished one is committed instead of the first unfinished, as if offsets were counts."""

    @property
    def frontier(self):
        return super().frontier + (1 if self.unfinished else 0)


@mutant("ledger")
class HighWaterMark(Ledger):
    """The position is committed, whatever is unfinished below it."""

    @property
    def frontier(self):
        return self.position


@mutant("ledger")
class FrontierOfTheLastFinished(Ledger):
    """In-order completion is taken for granted: what finishes carries the frontier with it."""

    def finish(self, offset):
        finished = super().finish(offset)
        if finished:
            self._frontier = max(self._frontier, offset + 1)
        return finished


@mutant("ledger")
class StaleFrontier(Ledger):
    """The frontier that is remembered outlives the offset it stood for."""

    def finish(self, offset):
        return self.unfinished.pop(offset, None) is not None


@mutant("ledger")
class GapBehindTheLastLost(Ledger):
    """Positions are read from records only: control records at the end are never passed."""

    def deliver(self, records, position):
        super().deliver(records, position if records else 0)


@mutant("ledger")
class GapAtTheSeamLost(Ledger):
    """What lies between the last record of a poll and the position after it is never finished."""

    def deliver(self, records, position):
        super().deliver(records, records[-1].offset + 1 if records else position)


@mutant("ledger")
class FinishedTwice(Ledger):
    """To finish what is finished passes as success."""

    def finish(self, offset):
        super().finish(offset)
        return True


@mutant("ledger")
class RestoredHolesIgnored(Ledger):
    """Everything above the frontier runs again after a crash."""

    def fresh(self, messages):
        return [message for message in messages if message.offset >= self.position]


@mutant("ledger")
class DeliveredTwice(Ledger):
    """What the consumer returns a second time is admitted a second time."""

    def fresh(self, messages):
        return messages


@mutant("ledger")
class RestoredHolesForgotten(Ledger):
    """The first commit after a crash remembers only what was finished since."""

    @property
    def end(self):
        return self.position

    @property
    def holes(self):
        return list(islice(self.unfinished, 1, None))


@mutant("ledger")
class NoWindow(Ledger):
    """Polls go on behind a stuck record until the metadata can't hold what is finished."""

    has_room = True
    room = 500


@mutant("ledger")
class HalfAWindow(Ledger):
    """Only the rule of the bitset is kept: a few stuck records stop the partition early."""

    @property
    def has_room(self):
        return self.window <= 24_000

    @property
    def room(self):
        return 256 if self.has_room else 0


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


@mutant("checkpoint")
class CleanByAnyAcknowledgement(Checkpoint):
    """The acknowledgement of an older commit clears what was finished since it was sampled."""

    def acknowledge(self, commit):
        kept = super().acknowledge(commit)
        if kept:
            now = {"frontier": self.ledger.frontier, "finished": self.ledger.finished}
            self.acknowledged = self.acknowledged._replace(**now)
        return kept


@mutant("partition")
class CleanWhenSampled(Partition):
    """A commit counts as done when it is sent."""

    def commit(self, **options):
        commit = super().commit(**options)
        if commit is not None:
            self.committed(commit)
        return commit


@mutant("checkpoint")
class AcknowledgedByAnotherOpening(Checkpoint):
    """The acknowledgement of a commit from before a rebalance counts after it."""

    def acknowledge(self, commit):
        return super().acknowledge(commit._replace(nonce=self.nonce))


@mutant("checkpoint")
class CleanByFrontier(Checkpoint):
    """Only a new frontier is worth a commit: what finishes above it waits."""

    def sample(self, **options):
        return None if self.ledger.frontier == self.frontier else super().sample(**options)


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


@mutant("lanes")
class LetInTwoAtOnce(Lanes):
    """Who is let in does not lock the lane: the next arrival runs beside it."""

    def leave(self, record):
        following = super().leave(record)
        if following is not None:
            self._holders.pop((following.partition.topic, following.partition.number, following.key))
        return following


@mutant("lanes")
class LeftByWhoWaits(Lanes):
    """A record that was lost while it waited frees the lane for others."""

    def leave(self, record):
        if record.key is not None:
            lane = (record.partition.topic, record.partition.number, record.key)
            if lane in self._holders:
                self._holders[lane] = record
        return super().leave(record)


@mutant("lanes")
class NotLockedAcrossOpenings(Lanes):
    """The lock belongs to the assignment: when the partition comes straight back, the key runs twice."""

    def enter(self, record):
        if record.key is not None:
            lane = (record.partition.topic, record.partition.number, record.key)
            holder = self._holders.get(lane)
            if holder is not None and holder.partition is not record.partition:
                del self._holders[lane]
        return super().enter(record)


@mutant("lanes")
class LostAreLetIn(Lanes):
    """A record that was lost while it waited is let in."""

    def leave(self, record):
        queue = None
        if record.key is not None:
            queue = self._queues.get((record.partition.topic, record.partition.number, record.key))
        first = queue[0] if queue else None
        following = super().leave(record)
        return first if first is not None and first.state is LOST else following


@mutant("lanes")
class LastInFirstOut(Lanes):
    """Who came last is let in first."""

    def leave(self, record):
        if record.key is not None:
            queue = self._queues.get((record.partition.topic, record.partition.number, record.key))
            if queue:
                queue.reverse()
        return super().leave(record)


@mutant("lanes")
class LanesLeak(Lanes):
    """A key stays locked when the last of its records has left."""

    def leave(self, record):
        following = super().leave(record)
        if following is None and record.key is not None and record.state is LOST:
            self._holders.setdefault((record.partition.topic, record.partition.number, record.key), record)
        return following


@mutant("encode")
def bitmap_against_another_base(commit, identity):
    """The holes are counted from another offset than the one that is committed."""
    holes = tuple(hole + 1 for hole in commit.holes if hole + 1 < commit.end)
    return metadata.encode(identity, commit.frontier, commit.end, holes, commit.nonce, commit.marks)


@mutant("encode")
def the_last_hole_dropped(commit, identity):
    """One hole too few is written down."""
    return metadata.encode(
        identity, commit.frontier, commit.end, commit.holes[:-1], commit.nonce, commit.marks
    )


@mutant("encode")
def cut_to_fit(commit, identity):
    """Metadata that is long is cut off, like any other string."""
    return commit.metadata(identity)[:1_000]


@mutant("decode")
def base_off_by_one(text, identity, committed):
    """The finished ones are read against another base than the one they were written against."""
    restored = metadata.decode(text, identity, committed)
    return restored._replace(finished=tuple((start + 1, stop + 1) for start, stop in restored.finished))


@mutant("decode")
def metadata_of_another_topic(text, identity, committed):
    """The finished ones of a topic that was deleted are skipped in the one that took its name."""
    return _anyhow(text, identity, committed, lambda digests: (identity.digests[0], digests[1]))


@mutant("decode")
def metadata_of_another_cluster(text, identity, committed):
    """The finished ones of a mirrored topic are skipped in its mirror."""
    return _anyhow(text, identity, committed, lambda digests: (digests[0], identity.digests[1]))


@mutant("decode")
def another_frontier_accepted(text, identity, committed):
    """After the offset was set back, the map is believed all the same."""
    restored = metadata.decode(text, identity, committed)
    if restored.reason and "committed" in restored.reason:
        written = int(restored.reason.split(",")[0].split()[-1])
        return metadata.decode(text, identity, written)._replace(frontier=committed)
    return restored


@mutant("decode")
def altered_metadata_accepted(text, identity, committed):
    """Nobody looks at the checksum."""
    restored = metadata.decode(text, identity, committed)
    if restored.reason and "altered" in restored.reason:
        try:
            body = metadata.a2b_base64(text[4:])[:-4]
        except ValueError:
            return restored
        checked = body + metadata.crc32(body).to_bytes(4)
        return metadata.decode(text[:4] + metadata.b2a_base64(checked).decode()[:-1], identity, committed)
    return restored


@mutant("decode")
def any_doubt_means_the_beginning(text, identity, committed):
    """What can't be believed is taken for a group without offsets."""
    restored = metadata.decode(text, identity, committed)
    return restored._replace(frontier=0) if restored.reason else restored


class _Unchecked:
    """What an identity looks like to a reader that compares less than it should."""

    def __init__(self, digests: tuple[bytes, bytes]) -> None:
        self.digests = digests


def _anyhow(text: str, identity: Identity, committed: int, matching) -> metadata.Restored:
    restored = metadata.decode(text, identity, committed)
    if restored.reason and "another" in restored.reason:
        body = metadata.a2b_base64(text[4:])
        return metadata.decode(text, _Unchecked(matching((body[:8], body[8:16]))), committed)
    return restored


@mutant("reach")
class ReachGoesBack(Reach):
    """The next commit promises less than the one before, whatever has begun since it was sampled."""

    def after(self, leaving, frontier, below, unfinished):
        return max(frontier, self._paced_from) + self.headroom // 2


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


@mutant("reach")
class RestartedOnesAreForgottenOnLeaving(Reach):
    """The leaving commit tells of what it began itself, and not of what the owners before it did."""

    def after(self, leaving, frontier, below, unfinished):
        reach = super().after(leaving, frontier, 0, unfinished)
        return max(reach, frontier) if leaving else max(reach, below)


@mutant("partition")
class ParkedOnesAreForgottenOnLeaving(Partition):
    """Whoever reads again what was parked and let go takes it for new."""

    def let_go(self, **options):
        below = self.suspicion.below
        gone = super().let_go(**options)
        self.suspicion.below = below
        return gone


@mutant("reach")
class LeavingPromisesAsEver(Reach):
    """A commit for good promises room for more, as if anything were still to begin."""

    def after(self, leaving, frontier, below, unfinished):
        return super().after(False, frontier, below, unfinished)


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


@mutant("ledger")
class LostAreNeverFresh(Ledger):
    """What was let go counts as under way when it is read again."""

    def fresh(self, messages):
        return [message for message in super().fresh(messages) if message.offset >= self.position]


@mutant("ledger")
class UnderWayAreFresh(Ledger):
    """What still runs is admitted a second time when the consumer goes back."""

    def fresh(self, messages):
        fresh = set(super().fresh(messages))
        return [message for message in messages if message in fresh or message.offset in self.unfinished]


@mutant("ledger")
class NoRoomToReadAgain(Ledger):
    """A full window takes nothing in, not even what it holds and has lost."""

    def begin_again(self):
        again = super().begin_again()
        self._again = 0
        return again


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


@mutant("ledger")
class BatchForgetsTheFrontier(Ledger):
    """A transaction's holes are right, and its offset is the one before it."""

    def without(self, offsets):
        _, holes = super().without(offsets)
        return self.frontier, holes


@mutant("ledger")
class BatchIsAllThatWasSent(Ledger):
    """What else has its result, but not in this transaction, counts as finished with it."""

    def without(self, offsets):
        left = [r.offset for r in self.unfinished.values() if r.state not in (PUBLISHING, ANSWERED)]
        return (left[0], left[1:]) if left else (self.position, left)


@mutant("partition")
class LevelNeverResets(Partition):
    """Long after the last suspect has ended, the trials would be as long as at the worst."""

    def commit(self, **options):
        level = self.suspicion.level
        commit = super().commit(**options)
        self.suspicion.level = level
        return commit and commit._replace(marks=commit.marks._replace(level=level))


@mutant("checkpoint")
class TrialCountsAsWritten(Checkpoint):
    """A suspect begins before any commit names it."""

    def tells(self, trial):
        return True


@mutant("partition")
class SuspectsAreNotTold(Partition):
    """What an owner before may have begun looks new."""

    def deliver(self, messages, position):
        records = super().deliver(messages, position)
        for record in records:
            record.restarted = False
        return records


@mutant("starting_point")
def everybody_left_in_good_order(restored, beginning, end):
    """Nobody looks whether the last owner said that it left."""
    start = starting_point(restored, beginning, end)
    return Start(start.frontier, start.finished, start.warning, start.lost, start.restarted_below)


@mutant("starting_point")
def suspects_forgotten_by_who_leaves(restored, beginning, end):
    """An owner that leaves in good order takes with it what it knew of the crash before."""
    start = starting_point(restored, beginning, end)
    left = restored is not None and restored.marks is not None and restored.marks.left
    return Start(
        start.frontier,
        start.finished,
        start.warning,
        start.lost,
        start.restarted_below,
        start.crashed and not left,
    )


@mutant("starting_point")
def promised_means_nothing(restored, beginning, end):
    """What was interrupted is as good as new."""
    start = starting_point(restored, beginning, end)
    return Start(start.frontier, start.finished, start.warning, start.lost)


@mutant("nobody_had")
def it_is_ours_if_it_comes_back(partition, restored):
    """Nobody looks who has committed last."""
    return True


@mutant("after_crash")
def crash_in_company_counted(marks):
    """Whoever was on trial is to blame, alone or not."""
    trial = marks.trial
    return after_crash(marks._replace(trial=trial and trial._replace(alone=True)))


@mutant("after_crash")
def crash_alone_not_counted(marks):
    """The accused is tried again and again."""
    trial = marks.trial
    return after_crash(marks._replace(trial=trial and trial._replace(alone=False)))


@mutant("after_crash")
def leaving_counts_as_a_crash(marks):
    """A rebalance while a suspect is alone speaks against it."""
    return after_crash(marks._replace(left=False, began=True))


@mutant("charge")
def sentenced_at_once(record, *, occupied):
    """One crash is enough, whoever caused it."""
    trial = charge(record, occupied=occupied)
    record.poison = trial.crashes >= 1
    return trial


@mutant("charge")
def never_sentenced(record, *, occupied):
    """There is no end to what poison may do."""
    trial = charge(record, occupied=occupied)
    record.poison = False
    return trial


@mutant("encode")
def accused_in_anothers_place(commit, identity):
    """A trial that is over accuses whoever is at the frontier."""
    trial = commit.marks.trial
    if trial is not None:
        trial = trial._replace(offset=max(trial.offset, commit.frontier))
    return commit._replace(marks=commit.marks._replace(trial=trial)).metadata(identity)


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


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_is_found(name: str) -> None:
    for seed in SEEDS:
        try:
            run(seed, STEPS, MUTANTS[name])
        except Violation as violation:
            if violation.invariant != "error":  # it must be seen by a check, not by falling over
                return
    pytest.fail(f"{name} was not found in {len(SEEDS)} runs of {STEPS} steps")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_objects_themselves_pass_the_same_runs(seed: int) -> None:
    assert run(seed, STEPS).commits
