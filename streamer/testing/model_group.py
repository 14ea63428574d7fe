"""A model of a consumer group: who has which partition, and how partitions come and go."""

from random import Random

from streamer.testing.factory import Factory
from streamer.testing.model_broker import Broker
from streamer.testing.model_commits import Commits
from streamer.testing.model_opening import Opening
from streamer.testing.model_worker import Worker
from streamer.testing.report import Report, Violation

PARTITIONS, WORKERS, KEYS = 3, 2, 12


class Group:
    """Workers in a group over the partitions of one topic.

    Checked here: that nothing is admitted before a partition is opened or after it was closed, and that an
    opening believes all of the metadata that its group wrote for this very log, and nothing of any other.
    """

    def __init__(self, factory: Factory, rng: Random, report: Report) -> None:
        self.factory = factory
        self.rng = rng
        self.report = report
        self.broker = Broker(rng, PARTITIONS, KEYS)
        self.workers = [self._worker() for _ in range(WORKERS)]
        self.owners = [0] * PARTITIONS
        for number in range(PARTITIONS):
            self._assign(number)

    def index(self, length: int) -> int:
        return int(self.rng.random() * length)

    def opening(self, number: int) -> tuple[Opening, Worker, Commits]:
        worker, commits = self.workers[self.owners[number]]
        return worker.assigned[number], worker, commits

    def open(self, opening: Opening) -> None:
        """Read what is committed, perhaps after somebody tampered with it, and begin there."""
        broker, number = self.broker, opening.partition.number
        if not self.report.calm and self.rng.random() < 0.4:
            broker.damage(number)
        held = broker.committed[number]
        if held is None:
            opening.partition.open(opening.log.start, nonce=opening.nonce)
            opening.open(opening.log.start, frozenset())
            self._pin(opening)
            return
        whole = held.identity == broker.identity and not held.damaged
        restored = self.factory.decode(held.text, broker.identity, held.offset)
        if (restored.reason is None) != whole or restored.frontier != held.offset:
            raise Violation("metadata", f"{restored} is read from {held.text!r} beside {held.offset}")
        self.report.restored += len(restored.finished)
        self.report.degraded += not whole
        opening.partition.open(restored.frontier, restored.finished, nonce=opening.nonce)
        opening.open(held.offset, held.finished if whole else frozenset())
        self._pin(opening)

    def _pin(self, opening: Opening) -> None:
        """Nothing begins before the first commit of an opening."""
        _, worker, commits = self.opening(opening.partition.number)
        commits.inline(opening, worker)

    def knock(self, opening: Opening) -> None:
        """Deliver to a partition that is not open."""
        if opening.partition.deliver(opening.log.messages[-1:], opening.log.end):
            raise Violation("gate", "a partition that is not open admits")

    def let_go(self, opening: Opening, worker: Worker) -> None:
        expected = opening.let_go()
        if opening.opened and (gone := opening.partition.let_go()) != expected:
            raise Violation("let_go", f"{gone}, not {expected}")
        self.report.lost += expected
        # Those that wait behind a key don't hold it: to take them out must not free it.
        for record in opening.waiting.values():
            worker.leave(record)
        opening.waiting.clear()

    def move(self, number: int) -> None:
        """Revoke a partition, and give it to any worker, the same one included."""
        opening, worker, commits = self.opening(number)
        if opening.opened and self.rng.random() < 0.5:
            commits.inline(opening, worker)
        self._close(opening, worker)
        self._assign(number)
        self.report.rebalances += 1

    def crash(self, index: int) -> None:
        for record in self.workers[index][0].publishing:
            record.message.results += self.rng.random() < 0.5  # sent; nobody knows whether it arrived
        self.workers[index] = self._worker()
        for number, owner in enumerate(self.owners):
            if owner == index:
                self._assign(number)
        self.report.crashes += 1

    def recreate(self) -> None:
        """The topic is deleted and made anew."""
        for number in range(PARTITIONS):
            opening, worker, _ = self.opening(number)
            self._close(opening, worker)
        self.broker.recreate()
        for number in range(PARTITIONS):
            self._assign(number)
        self.report.recreated += 1

    def flood(self, number: int) -> None:
        """Tens of thousands behind one that is stuck, the commit of that, and perhaps a crash."""
        opening, worker, commits = self.opening(number)
        opening.log.produce(27_000, dense=True)
        left = worker.rush(opening, 0.5 if self.rng.random() < 0.5 else 0.01)
        opening.check()
        commits.inline(opening, worker)
        if self.report.calm or self.rng.random() < 0.5:
            worker.through(left)
        else:
            self.crash(self.owners[number])
            opening, worker, commits = self.opening(number)
            self.open(opening)
            opening.check()
        worker.rush(opening, 0)
        commits.inline(opening, worker)

    def _worker(self) -> tuple[Worker, Commits]:
        return (
            Worker(self.factory, self.rng, self.report),
            Commits(self.factory, self.rng, self.report, self.broker),
        )

    def _assign(self, number: int) -> None:
        partition = self.factory.partition(self.broker.topic, number)
        nonce = self.rng.getrandbits(64).to_bytes(8)
        self.owners[number] = self.index(WORKERS)
        self.workers[self.owners[number]][0].assign(Opening(partition, self.broker.logs[number], nonce))
        self.report.openings += 1

    def _close(self, opening: Opening, worker: Worker) -> None:
        if self.rng.random() < 0.5:
            self.let_go(opening, worker)
        self.report.lost += opening.let_go()
        opening.partition.close()
        opening.closed = True
        opening.waiting.clear()
        if opening.opened:
            opening.check()
        elif opening.partition.open(0):
            raise Violation("gate", "a partition that was closed before it was opened is opened")
        self.knock(opening)
        del worker.assigned[opening.partition.number]
