"""Tens of thousands behind one that is stuck."""

from streamer.kafka.record import ADMITTED, Record
from streamer.testing.model_committing import Committing
from streamer.testing.model_group import Group
from streamer.testing.model_opening import Opening
from streamer.testing.model_worker import Worker


def flood(group: Group, number: int) -> None:
    """They come and finish, that is committed, and then perhaps there is a rebalance or a crash."""
    opening, worker, commits = group.opening(number)
    commits.inline(opening)
    opening.log.produce(27_000, dense=True)
    chance = 1.0 if group.report.calm else group.random()
    taken = 0.3 < chance < 0.7
    left = _rush(worker, opening, 0.5 if taken or group.random() < 0.5 else 0.01)
    opening.check()
    commits.inline(opening)
    if chance >= 0.7:
        _through(worker, left)
    elif taken:
        group.suspend(opening, worker, commits)
        for record in left:
            worker.leave(record)
        group.open(opening)
        opening, worker, commits = group.opening(number)
    else:
        group.crash(group.owners[number])
        opening, worker, commits = group.opening(number)
        group.open(opening)
        opening, worker, commits = group.opening(number)
        if opening.opened:
            opening.check()
    if opening.opened:
        _rush(worker, opening, 0)
        _try_all(worker, commits)
        _through_ready(worker, opening)
        commits.inline(opening)


def _rush(worker: Worker, opening: Opening, left: float) -> list[Record]:
    """Poll while there is room and end all at once; returns those `left`: the first one and a share."""
    kept: list[Record] = []
    while opening.index < len(opening.log.messages) and opening.partition.has_room:
        others, worker.ready = worker.ready, []
        worker.poll(opening, 500)
        fresh, worker.ready = worker.ready, others
        ending: list[Record] = []
        for record in fresh:
            if record.message.poison:
                worker.ready.append(record)
                continue
            stays = left and (not kept or worker.random() < left)
            (kept if stays else ending).append(record)
        _through(worker, ending)
    return kept


def _through(worker: Worker, records: list[Record]) -> None:
    """Bring `records`, which may run, to their ends with nothing in their way, nor any commit."""
    for record in records:
        partition = record.partition
        opening = worker.openings[partition]
        began = partition._run(record, ADMITTED)  # noqa: SLF001 - the reach is for others to test
        if worker.runs(opening, record, began):
            worker.running.pop()
            opening.admitted.discard(record.offset)
            opening.running -= 1
            partition.answer(record)
            partition.publish(record)
            worker.arrive(record)
            worker.finish(record)


def _through_ready(worker: Worker, opening: Opening) -> None:
    """The same with all of an opening that may run."""
    partition = opening.partition
    going = [r for r in worker.ready if r.partition is partition and not r.message.poison]
    worker.ready = [r for r in worker.ready if r.partition is not partition or r.message.poison]
    _through(worker, going)


def _try_all(worker: Worker, commits: Committing) -> None:
    """Bring trials to their end."""
    for _ in range(1000):
        if not worker.trials.active:
            return
        worker.trials.step()
        worker.begin()
        worker.answer()
        worker.journal()
        if worker.hurried is not None and worker.hurried.opened:
            commits.inline(worker.hurried)
        worker.hurried = None
