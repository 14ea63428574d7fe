"""A seeded simulator of everything that can happen to assigned partitions.

It drives the very objects that source and sink consult: polls with gaps, answers and acknowledgements out of
order, refused results, parked records, tasks of several paid steps whose notes reach their journal in time, late
or never, commits that fail, get lost or are acknowledged late, rebalances, crashes, topics made anew, and metadata
that was cut, altered or written by others. What it checks is what users are promised; where that does not hold it
raises `Violation`, with the name of the promise.
"""

import argparse
import sys
import time
from random import Random

from streamer.testing.factory import Factory
from streamer.testing.model_committing import Committing
from streamer.testing.model_ending import Ending
from streamer.testing.model_flood import flood
from streamer.testing.model_group import PARTITIONS, WORKERS, Group
from streamer.testing.model_opening import Opening
from streamer.testing.model_worker import Crashed, Worker
from streamer.testing.report import Report, Violation

__all__ = ["Factory", "Report", "Violation", "run"]

_SUBJECT = Factory()


def run(seed: int, steps: int, factory: Factory = _SUBJECT) -> Report:
    """Take `steps` random steps, let all work come to its end, count; `Violation` when a check fails."""
    simulation = Simulation(seed, steps, factory)
    try:
        simulation.go()
        Ending(simulation.group, simulation.report).settle()
    except Exception as error:
        where = f"seed {seed}, step {simulation.step} of {steps}"
        if not isinstance(error, Violation):
            raise Violation("error", f"{error!r}; {where}") from error
        error.add_note(where)
        raise
    return simulation.report


class Simulation:
    """One run: a random walk over the actions of workers, commits and group."""

    def __init__(self, seed: int, steps: int, factory: Factory) -> None:
        rng = Random(seed)
        self.report = Report(seed, steps)
        self.group = Group(factory, rng, self.report)
        self.random = rng.random
        self.step = 0

    def go(self) -> None:
        report = self.report
        ways_out = [self._sweep, self._write] if report.exactly_once else [self._publish, self._acknowledge]
        ordinary = [
            *[self._begin, self._answer, *ways_out] * 10,
            *[self._poll] * 6,
            *[self._produce] * 3,
            *[self._send] * 3,
            *[self._answer, self._journal] * 8,
            *[self._sample, self._reply, self._unpark, self._truncate],
            *[self._try] * (8 if not report.calm else 0),
        ]
        rare = [*[self._move] * 20, *[self._thaw] * 6, *[self._crash] * 5, *[self._drain] * 4, self._recreate]
        index = self.group.index
        # Not with poison: after a crash tens of thousands would be suspects, each of them tried by itself.
        flood = report.steps if report.poisonous else index(min(report.steps, 4000))
        for step in range(1, report.steps + 1):
            self.step = step
            try:
                if step > flood and self._flood():
                    flood = report.steps  # once is enough
                elif self.random() < 0.008 and not report.calm:
                    rare[index(len(rare))]()
                else:
                    ordinary[int(self.random() * len(ordinary))]()
            except Crashed as crashed:
                self.group.poisoned(crashed)
            if not step & 7:
                self._check()

    def _any(self) -> tuple[Worker, Committing]:
        return self.group.workers[int(self.random() * WORKERS)]

    def _any_opening(self) -> tuple[Opening, Worker, Committing]:
        return self.group.opening(int(self.random() * PARTITIONS))

    def _produce(self) -> None:
        log = self.group.broker.logs[self.group.index(PARTITIONS)]
        if len(log.messages) - log.index(log.lowest_unanswered) < 500:
            log.produce(1 + self.group.index(12))

    def _poll(self) -> None:
        opening, worker, commits = self._any_opening()
        if not opening.opened:
            self._open(opening, commits)
        elif opening.draining:
            if self.random() < 0.2:
                self.group.move(opening.partition.number)
        elif worker.busy < worker.outstanding + len(worker.trials.held) and worker.trials.admits(opening):
            worker.poll(opening, 1 + self.group.index(12))

    def _open(self, opening: Opening, commits: Committing) -> None:
        if self.random() < 0.3:
            self.group.knock(opening)
            return
        self.group.open(opening)
        if self.random() < 0.4 and opening.opened:
            commits.inline(opening)

    def _begin(self) -> None:
        worker, commits = self._any()
        worker.begin()
        self._hurry(worker, commits)

    def _try(self) -> None:
        worker, commits = self._any()
        if worker.trials.active:
            worker.trials.step()
            self._hurry(worker, commits)

    def _hurry(self, worker: Worker, commits: Committing) -> None:
        opening, worker.hurried = worker.hurried, None
        if opening is not None and (opening.opened or opening.transaction is not None):
            commits.sample(opening)
            if self.random() < 0.7:
                for _ in range(2 * len(commits.unsent)):
                    commits.send()
                commits.reply()

    def _answer(self) -> None:
        self._any()[0].answer()

    def _journal(self) -> None:
        """Notes go to their journal, or come there after all."""
        late = self.group.broker.journals[self.group.index(PARTITIONS)]
        if late.late and self.random() < 0.1:
            late.arrive(self.group.index(len(late.late)))
        else:
            self._any()[0].journal()

    def _truncate(self) -> None:
        self._any()[0].truncate()

    def _unpark(self) -> None:
        self._any()[0].unpark()

    def _publish(self) -> None:
        self._any()[0].publish()

    def _acknowledge(self) -> None:
        self._any()[0].acknowledge()

    def _sweep(self) -> None:
        self._any()[0].sweep()

    def _write(self) -> None:
        """In exactly-once mode: what was answered goes out."""
        worker, commits = self._any()
        if self.random() < 0.2 and worker.assigned:
            openings = list(worker.assigned.values())
            commits.sample(openings[int(self.random() * len(openings))])
        else:
            commits.send()
            self.group.fence_off()

    def _sample(self) -> None:
        worker, commits = self._any()
        if worker.assigned:
            openings = list(worker.assigned.values())
            opening = openings[int(self.random() * len(openings))]
            if opening.opened or self.random() < 0.1:
                commits.sample(opening)

    def _send(self) -> None:
        self._any()[1].send()
        if self.report.exactly_once:
            self.group.fence_off()

    def _reply(self) -> None:
        self._any()[1].reply()

    def _move(self) -> None:
        self.group.move(self.group.index(PARTITIONS))

    def _thaw(self) -> None:
        self.group.thaw()

    def _crash(self) -> None:
        self.group.crash(self.group.index(WORKERS))

    def _drain(self) -> None:
        opening, worker, _ = self._any_opening()
        if opening.opened:
            self.group.let_go(opening, worker)

    def _recreate(self) -> None:
        self.group.recreate()

    def _flood(self) -> bool:
        number = self.group.index(PARTITIONS)
        opening, worker, _ = self.group.opening(number)
        if not opening.opened or opening.draining or self.group.former() or worker.trials.active:
            return False
        flood(self.group, number)
        return True

    def _check(self) -> None:
        opening, worker, _ = self._any_opening()
        # A wide window takes milliseconds to look at, so it is looked at less often.
        if opening.opened and (opening.position - opening.frontier < 1000 or not self.step & 511):
            opening.check()
        if worker.lanes.waiting < sum(len(held.waiting) for held in worker.assigned.values()):
            raise Violation("key_order", f"only {worker.lanes.waiting} wait")


def main() -> None:
    """Many seeds, one after the other, with a line for each of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000_000, help="steps in all")
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--each", type=int, default=20_000, help="steps with one seed")
    options = parser.parse_args()
    began = time.monotonic()
    for number in range(-(-options.steps // options.each)):
        steps = min(options.each, options.steps - number * options.each)
        report = run(options.seed + number, steps)
        done, seconds = number * options.each + steps, time.monotonic() - began
        pace = f"{done / max(seconds, 0.001):,.0f} a second"
        sys.stdout.write(f"\rseed {report.seed}: {done:,} steps, {pace}")
        sys.stdout.flush()
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
