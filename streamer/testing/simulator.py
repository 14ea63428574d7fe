"""A seeded simulator of everything that can happen to assigned partitions.

It drives the very objects that source and sink consult: polls with gaps, answers and acknowledgements out of
order, refused results, parked records, commits that fail, get lost or are acknowledged late, rebalances,
crashes, topics made anew, and metadata that was cut, altered or written by others. What it checks is what users
are promised; where that does not hold it raises `Violation`, with the name of the promise.
"""

from random import Random

from streamer.testing.factory import Factory
from streamer.testing.model_commits import Commits
from streamer.testing.model_group import PARTITIONS, WORKERS, Group
from streamer.testing.model_opening import Opening
from streamer.testing.model_worker import Worker
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
        # Every fourth run is without rebalances and crashes: there each message has exactly one result.
        self.report = Report(seed, steps, keyed=seed % 3 != 0, calm=seed % 4 == 3)
        self.group = Group(factory, rng, self.report)
        self.random = rng.random
        self.step = 0

    def go(self) -> None:
        ordinary = [
            *[self._begin, self._answer, self._publish, self._acknowledge] * 10,
            *[self._poll] * 6,
            *[self._produce] * 3,
            *[self._send] * 3,
            *[self._sample, self._reply, self._unpark],
        ]
        rare = [*[self._move] * 8, *[self._crash] * 3, self._drain, self._recreate]
        index = self.group.index
        flood = index(min(self.report.steps, 4000))
        for step in range(1, self.report.steps + 1):
            self.step = step
            if step > flood and self._flood():
                flood = self.report.steps  # once is enough
            elif self.random() < 0.006 and not self.report.calm:
                rare[index(len(rare))]()
            else:
                ordinary[int(self.random() * len(ordinary))]()
            if not step & 7:
                self._check()

    def settle(self) -> None:
        """Let all work end, with nothing new in its way, and count."""
        group = self.group
        for _ in range(50):
            for number in range(PARTITIONS):
                self._settle(number)
            # Who owns nothing any more still has what it ran when it lost it.
            idle = not any(worker.busy for worker, _ in group.workers)
            if idle and all(self._is_settled(number) for number in range(PARTITIONS)):
                break
        else:
            raise Violation("one_result", "the work does not come to an end")
        for log, held in zip(group.broker.logs, group.broker.committed, strict=True):
            counts = {message.results for message in log.messages}
            if 0 in counts or (self.report.calm and counts - {1}):
                raise Violation("one_result", f"there are messages with {counts} results")
            if held is None or held.offset != log.end:
                raise Violation("frontier", f"{held} is committed at the end of {log.end}")
            self.report.messages += len(log.messages)
        for worker, _ in group.workers:
            if len(worker.lanes) or worker.lanes.waiting:
                raise Violation("key_order", "keys stay locked with nothing in them")

    def _any(self) -> tuple[Worker, Commits]:
        return self.group.workers[int(self.random() * WORKERS)]

    def _any_opening(self) -> tuple[Opening, Worker, Commits]:
        return self.group.opening(int(self.random() * PARTITIONS))

    def _produce(self) -> None:
        log = self.group.broker.logs[self.group.index(PARTITIONS)]
        if len(log.messages) - log.index(log.lowest_unanswered) < 500:
            log.produce(1 + self.group.index(12))

    def _poll(self) -> None:
        opening, worker, _ = self._any_opening()
        if not opening.opened:
            (self.group.open if self.random() < 0.7 else self.group.knock)(opening)
        elif not opening.draining and worker.busy < worker.outstanding:
            worker.poll(opening, 1 + self.group.index(12))

    def _begin(self) -> None:
        self._any()[0].begin()

    def _answer(self) -> None:
        self._any()[0].answer()

    def _unpark(self) -> None:
        self._any()[0].unpark()

    def _publish(self) -> None:
        self._any()[0].publish()

    def _acknowledge(self) -> None:
        self._any()[0].acknowledge()

    def _sample(self) -> None:
        opening, _, commits = self._any_opening()
        if opening.opened:
            commits.sample(opening)

    def _send(self) -> None:
        self._any()[1].send()

    def _reply(self) -> None:
        worker, commits = self._any()
        commits.reply(worker)

    def _move(self) -> None:
        self.group.move(self.group.index(PARTITIONS))

    def _crash(self) -> None:
        self.group.crash(self.group.index(WORKERS))

    def _drain(self) -> None:
        opening, worker, _ = self._any_opening()
        self.group.let_go(opening, worker)

    def _recreate(self) -> None:
        self.group.recreate()

    def _flood(self) -> bool:
        number = self.group.index(PARTITIONS)
        opening, _, _ = self.group.opening(number)
        if not opening.opened or opening.draining:
            return False
        self.group.flood(number)
        return True

    def _check(self) -> None:
        opening, worker, _ = self._any_opening()
        # A wide window takes milliseconds to look at, so it is looked at less often.
        if opening.opened and (opening.position - opening.frontier < 1000 or not self.step & 511):
            opening.check()
        if worker.lanes.waiting < sum(len(held.waiting) for held in worker.assigned.values()):
            raise Violation("key_order", f"only {worker.lanes.waiting} wait")

    def _settle(self, number: int) -> None:
        opening, worker, commits = self.group.opening(number)
        if opening.draining:
            self.group.move(number)
            return
        if not opening.opened:
            self.group.open(opening)
        worker.poll(opening, 1000, whole=True)
        for each, _ in self.group.workers:
            while each.busy > each.lanes.waiting:
                for act in (each.begin, each.answer, each.unpark, each.publish, each.acknowledge):
                    act()
        while commits.sent:
            commits.reply(worker)
        commits.inline(opening, worker)

    def _is_settled(self, number: int) -> bool:
        opening, _, _ = self.group.opening(number)
        ended = opening.position == opening.log.end and not opening.pending
        return ended and opening.acknowledged == opening.state
