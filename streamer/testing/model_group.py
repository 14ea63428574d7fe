"""A model of a consumer group: who has which partition, and how partitions come and go."""

from random import Random

from streamer.kafka.metadata import Restored
from streamer.testing.factory import Factory
from streamer.testing.model_broker import Broker, Committed
from streamer.testing.model_commits import Commits
from streamer.testing.model_opening import Opening
from streamer.testing.model_transactions import Transactions
from streamer.testing.model_worker import Worker
from streamer.testing.report import Report, Violation

PARTITIONS, WORKERS, KEYS = 3, 2, 12
MOST_CRASHES = 24
"""So many workers one poisonous message may take down: some levels, then some times alone, beside a few others."""

Member = tuple[Worker, Commits]


class Group:
    """Workers in a group over the partitions of one topic.

    A partition has one owner, but who had it before may go on for a while: suspended, until it hears that the
    partition went elsewhere, or frozen, with no idea of that. Checked here: that nothing is admitted before a
    partition is opened or after it was closed, that an opening believes all of the metadata that its group wrote
    for this very log, and nothing of any other, that a partition is resumed by its owner alone
    (rebalance_keeps_work), that what a crash interrupted is known (reach), and that poison ends.
    """

    def __init__(self, factory: Factory, rng: Random, report: Report) -> None:
        self.factory = factory
        self.rng = rng
        self.random = rng.random
        self.report = report
        self.broker = Broker(rng, PARTITIONS, KEYS, report.poisonous)
        self.workers = [self._worker() for _ in range(WORKERS)]
        self.owners = [0] * PARTITIONS
        self.taken_down: set[bytes] = set()
        """The openings of workers that a message took down."""
        for number in range(PARTITIONS):
            self._assign(number, self.index(WORKERS))

    def index(self, length: int) -> int:
        return int(self.random() * length)

    def opening(self, number: int) -> tuple[Opening, Worker, Commits]:
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
            self._come_back(opening, restored, held)
        else:
            self._begin(opening, restored, held)

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
        partition.open(
            start.frontier,
            start.finished,
            nonce=opening.nonce,
            restarted_below=start.restarted_below,
            headroom=opening.headroom,
        )
        opening.open(frontier, held.finished if whole and held is not None else frozenset())
        opening.restarted_below = start.restarted_below
        if whole and held is not None:
            self._check_start(opening, held, start.restarted_below, start.crashed)
            if start.crashed:
                self._suspect(opening, held)
        elif start.crashed or start.restarted_below:
            raise Violation("reach", "nothing is known, and there are suspects")
        self.report.openings += 1

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
        if counted and before is not None and held.nonce not in self.taken_down:
            # Killed from outside, or cut off: from here that looks the same.
            suspect = opening.log.at(before.offset)
            if suspect is not None:
                suspect.unjust += 1
        self.report.unclean += 1

    def _come_back(self, opening: Opening, restored: Restored | None, held: Committed | None) -> None:
        own = held is not None and self._is_whole(held) and held.nonce == opening.nonce
        if self.factory.nobody_had(opening.partition, restored) != own:
            raise Violation("rebalance_keeps_work", f"it may be resumed: {own} is right, after {held}")
        worker, commits = self.workers[self.owners[opening.partition.number]]
        if not own:
            self.report.foreign += 1
            self.close(opening, (worker, commits))
            self._assign(opening.partition.number, self.owners[opening.partition.number])
            return
        again = opening.partition.resume()
        expected = min(opening.gone, default=opening.position)
        if again != expected:
            raise Violation("one_result", f"it reads on at {again}, not {expected}")
        opening.index = opening.log.index(again)
        opening.resume()
        self.report.resumed += 1

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
                commits.leave(opening)
            self.close(opening, (worker, commits))
        elif kind < 0.75:
            self.suspend(opening, worker, commits)
        elif self.owners[number] == index:
            return  # frozen, but nobody noticed
        self._assign(number, index)

    def suspend(self, opening: Opening, worker: Worker, commits: Commits) -> None:
        """Let go what has not begun, commit once more, and keep the rest."""
        self.let_go(opening, worker, parked=False)
        if not opening.deposed:
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
        self._forget_waiting(opening, worker)
        if was_open:
            opening.check()
        elif opening.partition.open(0):
            raise Violation("gate", "a partition that was closed before it was opened is opened")
        self.knock(opening)
        del worker.assigned[opening.partition.number]
        worker.trials.review()

    def crash(self, index: int, *, by_message: bool = False) -> None:
        """All that a worker knew is gone, killed from outside or by a message that it ran."""
        worker, commits = self.workers[index]
        commits.abandon()
        if not self.report.exactly_once:
            for record in worker.publishing:
                record.message.results += self.random() < 0.5  # sent; nobody knows whether it arrived
        if by_message:
            self.taken_down.update(opening.nonce for opening in worker.assigned.values())
        self.workers[index] = self._worker()
        for number, owner in enumerate(self.owners):
            if owner == index:
                self._assign(number, self.index(WORKERS))
        self.report.crashes += 1

    def poisoned(self, worker: Worker, opening: Opening, offset: int) -> None:
        """A message has taken a worker down."""
        number = opening.partition.number
        held, message = self.broker.committed[number], opening.log.at(offset)
        assert message is not None
        if held is not None and held.nonce == opening.nonce and not held.marks.left:
            message.crashes += 1
        if message.crashes > MOST_CRASHES:
            raise Violation("poison", f"{offset} has taken {message.crashes} workers down")
        self.report.poisoned += 1
        self.crash(next(i for i, (each, _) in enumerate(self.workers) if each is worker), by_message=True)

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

    def flood(self, number: int) -> None:
        """Tens of thousands behind one that is stuck, the commit of that, and perhaps a rebalance or a crash."""
        opening, worker, commits = self.opening(number)
        commits.inline(opening)
        opening.log.produce(27_000, dense=True)
        chance = 1.0 if self.report.calm else self.random()
        taken = 0.3 < chance < 0.7
        left = worker.rush(opening, 0.5 if taken or self.random() < 0.5 else 0.01)
        opening.check()
        commits.inline(opening)
        if chance >= 0.7:
            worker.through(left)
        elif taken:
            self.suspend(opening, worker, commits)
            for record in left:
                worker.leave(record)
            self.open(opening)
            opening, worker, commits = self.opening(number)
        else:
            self.crash(self.owners[number])
            opening, worker, commits = self.opening(number)
            self.open(opening)
            opening, worker, commits = self.opening(number)
            if opening.opened:
                opening.check()
        if opening.opened:
            worker.rush(opening, 0)
            self._try_all(worker, commits)
            worker.through_ready(opening)
            commits.inline(opening)

    def _try_all(self, worker: Worker, commits: Commits) -> None:
        """Bring trials to their end."""
        for _ in range(1000):
            if not worker.trials.active:
                return
            worker.trials.step()
            worker.begin()
            worker.answer()
            if worker.hurried is not None and worker.hurried.opened:
                commits.inline(worker.hurried)
            worker.hurried = None

    # --- inside

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
