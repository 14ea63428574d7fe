"""Mistakes of how an owner begins: where, after whom, and whom it suspects."""

from streamer.kafka.opening import Start, starting_point
from streamer.kafka.quarantine import after_crash, charge
from streamer.kafka.reach import Reach
from tests.kafka.mutants.planting import mutant


@mutant("reach")
class ReachGoesBack(Reach):
    """The next commit promises less than the one before, whatever has begun since it was sampled."""

    def after(self, leaving, frontier, below, unfinished):
        return max(frontier, self._paced_from) + self.headroom // 2


@mutant("reach")
class RestartedOnesAreForgottenOnLeaving(Reach):
    """The leaving commit tells of what it began itself, and not of what the owners before it did."""

    def after(self, leaving, frontier, below, unfinished):
        reach = super().after(leaving, frontier, 0, unfinished)
        return max(reach, frontier) if leaving else max(reach, below)


@mutant("reach")
class LeavingPromisesAsEver(Reach):
    """A commit for good promises room for more, as if anything were still to begin."""

    def after(self, leaving, frontier, below, unfinished):
        return super().after(False, frontier, below, unfinished)


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
