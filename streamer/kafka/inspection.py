"""Looks at what runs, on demand: nothing is counted or noted for it on the way of a message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from streamer.kafka.partition import Partition
from streamer.kafka.record import ADMITTED, ANSWERED, LOST, PARKED, PUBLISHING, RUNNING, Record
from streamer.kafka.snapshot import CallSnapshot, PartitionSnapshot, TaskSnapshot
from streamer.step import Step

HOLES_SHOWN = 5


def partition_snapshot(partition: Partition, end: int | None, now: float, epoch: float) -> PartitionSnapshot:
    """A partition; ``now`` is on the loop's clock, ``epoch`` what makes it the time of day."""
    if not partition.is_open:
        return PartitionSnapshot(topic=partition.topic, partition=partition.number, open=False)
    ledger = partition.ledger
    states = Counter(record.state for record in ledger.unfinished.values())
    frontier, position = ledger.frontier, ledger.position
    end = max(position, end) if end is not None else None
    holes = ledger.holes
    oldest = next(iter(ledger.unfinished.values()), None)
    return PartitionSnapshot(
        topic=partition.topic,
        partition=partition.number,
        open=True,
        frontier=frontier,
        committed=partition.checkpoint.frontier,
        position=position,
        end=end,
        lag=end - frontier if end is not None else None,
        left=end - position + len(ledger.unfinished) if end is not None else None,
        holes=len(holes),
        hole_offsets=tuple(holes[:HOLES_SHOWN]),
        unfinished=len(ledger.unfinished),
        waiting=states[ADMITTED],
        running=states[RUNNING],
        parked=states[PARKED],
        answered=states[ANSWERED] + states[PUBLISHING],
        oldest=task_snapshot(oldest, now, epoch) if oldest is not None else None,
    )


def task_snapshot(record: Record, now: float, epoch: float) -> TaskSnapshot:
    """A record, and what its task does."""
    message = record.message
    task_id = f"{record.partition.topic}-{record.partition.number}-{record.offset}"
    stamp = getattr(message, "timestamp", None)
    age = max(0.0, now + epoch - stamp / 1000) if stamp is not None and stamp > 0 else None
    step = record.step
    state = record.state.name.lower()
    if step is None:
        early = record.state is ADMITTED and record.offset >= record.partition.reach.acknowledged
        held_by = "commit" if early else None
        return TaskSnapshot(offset=record.offset, task_id=task_id, state=state, age=age, held_by=held_by)
    steps = list(walk(step)) if record.state in (RUNNING, PARKED) else []
    calling = [found for found in steps if found.calling is not None]
    resumes = [found.resumes for found in steps if found.resumes is not None]
    failed = [attempt for found in steps for attempt in found.attempts or () if attempt.category is not None]
    last = max(failed, key=lambda attempt: attempt.started_at, default=None)
    return TaskSnapshot(
        offset=record.offset,
        task_id=step.scope.task_id,
        state=state,
        age=age,
        seconds=now - step.started if step.started is not None else None,
        timeout=timeout_of(record),
        calls=len(calling),
        call=call_snapshot(oldest_of(calling), now) if calling else None,
        resumes_at=datetime.fromtimestamp(epoch + min(resumes), UTC) if resumes else None,
        last_failure=f"{last.category} of {last.provider}" if last is not None else None,
        waits_for_slot=step.scope.reclaiming is not None,
        in_stream=step.streaming,
        held_by=getattr(step.scope.journal, "held_by", None),
    )


def walk(step: Step) -> Iterator[Step]:
    """A step and all below it."""
    below = [step]
    while below:
        found = below.pop()
        yield found
        below += found.children.values() if found.children else ()
        below += found.calls or ()


def oldest_of(calling: Iterable[Step]) -> Step:
    """The step whose attempt has been under way longest; who waits for a slot comes last, and who only waits for
    calls of its own after those.
    """
    return min(
        calling,
        key=lambda step: (step.asked is None, bool(step.calls or step.children), step.asked or 0.0),
    )


def call_snapshot(step: Step, now: float) -> CallSnapshot:
    """The call that is made at a step."""
    call = step.calling
    assert call is not None
    return CallSnapshot(
        provider=call.name,
        model=call.model,
        attempt_id=step.attempt_id if step.asked is not None else None,
        seconds=now - step.asked if step.asked is not None else None,
        limit=call.slots.limit if call.slots is not None else None,
    )


def timeout_of(record: Record) -> float | None:
    """The seconds that its task names, if it does."""
    task = record.step.task if record.step is not None else None
    timeout = getattr(task, "timeout", None)
    seconds = getattr(timeout, "attempt", timeout)
    return seconds if isinstance(seconds, int | float) else None


def running_longer(partition: Partition, seconds: float, now: float) -> list[Record]:
    """Records whose tasks run for longer than that; parked ones only wait."""
    if not partition.is_open:
        return []
    return [
        record
        for record in partition.ledger.unfinished.values()
        if record.state is RUNNING
        and record.step is not None
        and record.step.started is not None
        and now - record.step.started >= seconds
    ]


def outstanding(partitions: Iterable[Partition]) -> int:
    """Records of open partitions that are not finished."""
    return sum(
        1
        for partition in partitions
        if partition.is_open
        for record in partition.ledger.unfinished.values()
        if record.state is not LOST
    )
