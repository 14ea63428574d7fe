"""A seeded simulator of everything that can happen to assigned partitions.

It drives the very objects that source and sink consult: polls with gaps, answers and acknowledgements out of
order, refused results, parked records, commits that fail, get lost or are acknowledged late, rebalances,
crashes, topics made anew, and metadata that was cut, altered or written by others. What it checks is what users
are promised; where that does not hold it raises `Violation`, with the name of the promise.
"""

import argparse
import sys
import time
from random import Random

from streamer.testing.factory import Factory
from streamer.testing.model_committing import Committing
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
        simulation.settle()
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
                self._poisoned(crashed)
            if not step & 7:
                self._check()

    def settle(self) -> None:
        """Let all work end, with nothing new in its way, and count."""
        group = self.group
        idle_rounds, before = 0, (0, 0, 0)
        while idle_rounds < 5:
            for number in range(PARTITIONS):
                try:
                    self._settle(number)
                except Crashed as crashed:
                    self._poisoned(crashed)
            read = sum(group.opening(number)[0].index for number in range(PARTITIONS))
            now = self.report.commits, self.report.crashes, read
            idle_rounds, before = (idle_rounds + 1 if now == before else 0), now
            # Who owns nothing any more still has what it ran when it lost it.
            idle = not any(worker.busy for worker, _ in group.workers)
            if idle and all(self._is_settled(number) for number in range(PARTITIONS)):
                break
        else:
            raise Violation("one_result", "the work does not come to an end")
        once = self.report.calm or self.report.exactly_once
        for log, held in zip(group.broker.logs, group.broker.committed, strict=True):
            counts = {message.results for message in log.messages}
            if 0 in counts or (once and counts - {1}):
                raise Violation("one_result", f"there are messages with {counts} results")
            if held is None or held.offset != log.end:
                raise Violation("frontier", f"{held} is committed at the end of {log.end}")
            self.report.messages += len(log.messages)
        for worker, _ in group.workers:
            if len(worker.lanes) or worker.lanes.waiting:
                raise Violation("key_order", "keys stay locked with nothing in them")

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

    def _poisoned(self, crashed: Crashed) -> None:
        record = crashed.record
        worker = next(w for w, _ in self.group.workers if record.partition in w.openings)
        self.group.poisoned(worker, worker.openings[record.partition], record.offset)

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

    def _settle(self, number: int) -> None:
        group = self.group
        while group.former():
            group.thaw()
        opening, worker, commits = group.opening(number)
        if opening.draining:
            group.move(number)
            return
        if not opening.opened:
            group.open(opening)
            opening, worker, commits = group.opening(number)
            if not opening.opened:
                return
        commits.inline(opening)
        if opening.fenced:
            group.fence_off()
            return
        worker.poll(opening, 1000, whole=True)
        idle_rounds, before = 0, (-1, 0, 0)
        while idle_rounds < 20:
            for each, its in group.workers:
                for _ in range(max(20, len(each.ready))):
                    each.begin()
                    each.answer()
                    each.unpark()
                    if self.report.exactly_once:
                        each.sweep()
                    else:
                        each.publish()
                        each.acknowledge()
                each.trials.step()
                while its.unsent and self.report.exactly_once:
                    its.send()
                group.fence_off()
                for held in list(each.assigned.values()):
                    if held.opened or held.suspended:
                        each.promise(held, held.channel.flush())
                    if held.opened:
                        its.inline(held)
            busy = sum(each.busy for each, _ in group.workers)
            if not busy:
                break
            now = busy, self.report.commits, self.report.paid
            idle_rounds, before = (idle_rounds + 1 if now == before else 0), now

    def _is_settled(self, number: int) -> bool:
        opening, _, _ = self.group.opening(number)
        ended = opening.position == opening.log.end and not opening.pending
        return ended and opening.acknowledged == opening.state(leaving=False)


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
