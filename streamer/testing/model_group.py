"""A model of a consumer group: who has which partition, and how partitions come and go."""

from random import Random

from streamer.kafka.record import Record
from streamer.testing.factory import Factory
from streamer.testing.model_broker import Broker
from streamer.testing.model_commits import Commits
from streamer.testing.model_committing import Committing
from streamer.testing.model_opening import Opening
from streamer.testing.model_starting import Starting
from streamer.testing.model_transactions import Transactions
from streamer.testing.model_worker import Crashed, Worker
from streamer.testing.report import Report, Violation

PARTITIONS, WORKERS, KEYS = 3, 2, 12
MOST_CRASHES = 24
"""So many workers one poisonous message may take down: some levels, then some times alone, beside a few others."""

Member = tuple[Worker, Committing]


class Group:
    """Workers in a group over the partitions of one topic.

    A partition has one owner, but who had it before may go on for a while: suspended, until it hears that the
    partition went elsewhere, or frozen, with no idea of that. Checked here: that nothing is admitted before a
    partition is opened or after it was closed, and that poison ends.
    """

    def __init__(self, factory: Factory, rng: Random, report: Report) -> None:
        self.factory = factory
        self.rng = rng
        self.random = rng.random
        self.report = report
        self.broker = Broker(rng, PARTITIONS, KEYS, report.poisonous)
        self.workers = [self._worker() for _ in range(WORKERS)]
        self.owners = [0] * PARTITIONS
        self.starting = Starting(factory, rng, report, self.broker)
        for number in range(PARTITIONS):
            self._assign(number, self.index(WORKERS))

    def index(self, length: int) -> int:
        return int(self.random() * length)

    def opening(self, number: int) -> tuple[Opening, Worker, Committing]:
        worker, commits = self.workers[self.owners[number]]
        return worker.assigned[number], worker, commits

    def former(self) -> list[tuple[Opening, Member]]:
        """Openings of those that went on when their partitions went elsewhere."""
        return [
            (opening, member)
            for member in self.workers
            for opening in member[0].assigned.values()
            if opening.deposed
        ]

    # --- opening

    def open(self, opening: Opening) -> None:
        """Read what is committed, perhaps after somebody tampered with it, and begin there, or go on."""
        if not self.starting.open(opening):
            number = opening.partition.number
            self.close(opening, self.workers[self.owners[number]])
            self._assign(number, self.owners[number])

    # --- going

    def knock(self, opening: Opening) -> None:
        """Deliver to a partition that is not open."""
        if opening.partition.deliver(opening.log.messages[-1:], opening.log.end):
            raise Violation("gate", "a partition that is not open admits")

    def let_go(self, opening: Opening, worker: Worker, *, parked: bool = True) -> None:
        expected = opening.let_go(parked=parked)
        if opening.opened and (gone := opening.partition.let_go(parked=parked)) != expected:
            raise Violation("let_go", f"{gone}, not {expected}")
        self.report.lost += expected
        self._forget_waiting(opening, worker)

    def move(self, number: int) -> None:
        """A rebalance takes a partition and gives it to any worker, the same one included."""
        opening, worker, commits = self.opening(number)
        self.report.rebalances += 1
        index, kind = self.index(WORKERS), self.random()
        if opening.suspended:
            pass  # one rebalance after another
        elif not opening.opened or opening.draining or kind < 0.15:
            if opening.opened and self.random() < 0.5:
                self._flush(opening, worker)
                commits.leave(opening)
            self.close(opening, (worker, commits))
        elif kind < 0.75:
            self.suspend(opening, worker, commits)
        elif self.owners[number] == index:
            return  # frozen, but nobody noticed
        self._assign(number, index)

    def suspend(self, opening: Opening, worker: Worker, commits: Committing) -> None:
        """Let go what has not begun, commit once more, and keep the rest."""
        self.let_go(opening, worker, parked=False)
        if not opening.deposed:
            self._flush(opening, worker)
            commits.leave(opening)
        opening.partition.suspend()
        opening.suspend()
        self.knock(opening)

    def thaw(self) -> None:
        """One of those that went on hears that its partition went elsewhere."""
        former = self.former()
        if former:
            opening, (worker, commits) = former[self.index(len(former))]
            self.close(opening, (worker, commits))
            self.report.thawed += 1

    def fence_off(self) -> None:
        """Who could not write because of somebody else reads anew, or stops."""
        for worker, commits in self.workers:
            for number, opening in list(worker.assigned.items()):
                if opening.fenced:
                    current = not opening.deposed
                    self.close(opening, (worker, commits))
                    if current:
                        self._assign(number, self.owners[number])

    def close(self, opening: Opening, member: Member) -> None:
        worker, commits = member
        if self.random() < 0.5 and opening.opened:
            self.let_go(opening, worker)
        self.report.lost += opening.let_go()
        was_open = opening.opened or opening.suspended
        opening.partition.close()
        opening.closed, opening.opened, opening.suspended = True, False, False
        commits.forsake(opening)
        if was_open:
            opening.channel.close()
        self._forget_waiting(opening, worker)
        if was_open:
            opening.check()
        elif opening.partition.open(0):
            raise Violation("gate", "a partition that was closed before it was opened is opened")
        self.knock(opening)
        del worker.assigned[opening.partition.number]
        worker.trials.review()

    def crash(self, index: int, *, by: Record | None = None) -> None:
        """All that a worker knew is gone, killed from outside or by a message that it ran."""
        worker, commits = self.workers[index]
        commits.abandon()
        for opening in worker.assigned.values():
            if opening.opened or opening.suspended:
                opening.channel.close()
        if not self.report.exactly_once:
            for record in worker.publishing:
                record.message.results += self.random() < 0.5  # sent; nobody knows whether it arrived
        if by is not None:
            self.starting.taken_down |= {opening.nonce: by for opening in worker.assigned.values()}
        self.workers[index] = self._worker()
        for number, owner in enumerate(self.owners):
            if owner == index:
                self._assign(number, self.index(WORKERS))
        self.report.crashes += 1

    def poisoned(self, crashed: Crashed) -> None:
        """A message has taken a worker down."""
        partition, offset = crashed.record.partition, crashed.record.offset
        worker = next(worker for worker, _ in self.workers if partition in worker.openings)
        opening, number = worker.openings[partition], partition.number
        held, message = self.broker.committed[number], opening.log.at(offset)
        assert message is not None
        if held is not None and held.nonce == opening.nonce and not held.marks.left:
            message.crashes += 1
        if message.crashes > MOST_CRASHES:
            raise Violation("poison", f"{offset} has taken {message.crashes} workers down")
        if not crashed.record.work.parked:
            self._check_charge(crashed.record, worker)
        self.report.poisoned += 1
        self.crash(next(i for i, (each, _) in enumerate(self.workers) if each is worker), by=crashed.record)

    def recreate(self) -> None:
        """The topic is deleted and made anew."""
        for worker, commits in self.workers:
            for opening in list(worker.assigned.values()):
                self.close(opening, (worker, commits))
        self.broker.recreate()
        self.broker.epochs = [epoch + 1 for epoch in self.broker.epochs]
        for number in range(PARTITIONS):
            self._assign(number, self.index(WORKERS))
        self.report.recreated += 1

    # --- inside

    def _check_charge(self, record: Record, worker: Worker) -> None:
        """Whom its worker calls alone, in what it has committed of open partitions, that is it."""
        for number, opening in worker.assigned.items():
            held = self.broker.committed[number]
            if held is None or held.nonce != opening.nonce or not opening.opened or opening.deposed:
                continue
            if opening.acknowledged is None:
                continue  # it has just come back, and says what it said before
            trial, marks = held.marks.trial, held.marks
            if trial is None or not trial.alone or not marks.began or marks.left:
                continue
            if (opening.partition, trial.offset) != (record.partition, record.offset):
                raise Violation("poison", f"{record!r} has crashed, and {trial} of {number} was called alone")

    def _flush(self, opening: Opening, worker: Worker) -> None:
        """What was noted is durable before the partition may be somebody else's, if there is time for it."""
        if self.random() < 0.7:
            worker.promise(opening, opening.channel.flush())

    def _worker(self) -> Member:
        worker = Worker(self.factory, self.rng, self.report, self.broker)
        kind = Transactions if self.report.exactly_once else Commits
        return worker, kind(self.factory, self.rng, self.report, self.broker, worker)

    def _assign(self, number: int, index: int) -> None:
        before = self.workers[self.owners[number]][0].assigned.get(number)
        if before is not None and self.owners[number] != index:
            before.deposed = True
            before.deposals += 1
        self.owners[number] = index
        worker, commits = self.workers[index]
        opening = worker.assigned.get(number)
        if opening is None:
            partition = self.factory.partition(self.broker.topic, number)
            nonce = self.rng.getrandbits(64).to_bytes(8)
            headroom = 3 + self.index(8)
            worker.assign(Opening(partition, self.broker.logs[number], nonce, headroom))
            return
        if opening.opened:  # it was frozen, and hears of all at once
            self.suspend(opening, worker, commits)
        opening.deposals += opening.deposed  # nor does what it sampled meanwhile count
        opening.deposed = False

    def _forget_waiting(self, opening: Opening, worker: Worker) -> None:
        # Those that wait behind a key don't hold it: to take them out must not free it.
        for record in opening.waiting.values():
            worker.leave(record)
        opening.waiting.clear()
