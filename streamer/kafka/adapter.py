"""Where aiokafka's internals are touched: nowhere else. What its public interface lacks, and why we need it."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import CommitFailedError, IllegalStateError

# mypy: disable-error-code="misc,no-untyped-call"


def position(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """The offset that the next poll begins at, without waiting; None where there is none (yet, or any more).

    The public ``position()`` waits, for as long as a rebalance lasts.
    """
    subscription = consumer._subscription.subscription  # noqa: SLF001
    assignment = subscription.assignment if subscription is not None else None
    if assignment is None or tp not in assignment.tps:
        return None
    state = assignment.state_value(tp)
    return state.position if state.has_valid_position else None


def client_of(consumer: AIOKafkaConsumer) -> AIOKafkaClient:
    """The consumer's own connections."""
    return consumer._client  # noqa: SLF001


def check(consumer: AIOKafkaConsumer) -> None:
    """Raise what went wrong in the group, as a poll would."""
    consumer._coordinator.check_errors()  # noqa: SLF001


def seek(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int) -> bool:
    """Move the position, and drop what was fetched from the old one; False when it is no longer assigned."""
    try:
        consumer.seek(tp, offset)
    except IllegalStateError:
        return False
    return True


def rotate(consumer: AIOKafkaConsumer, drained: Any) -> None:
    """Put partitions that were just drained last: ``getmany`` goes through its buffers in dict order."""
    buffers = consumer._fetcher._records  # noqa: SLF001
    for tp in drained:
        if tp in buffers:
            buffers[tp] = buffers.pop(tp)


async def committed(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, tuple[int, str]]:
    """What the group has committed: offset and metadata, which the public ``committed()`` drops.

    Partitions without a commit are left out.
    """
    found = await consumer._coordinator.fetch_committed_offsets(partitions)  # noqa: SLF001
    return {tp: (value.offset, value.metadata or "") for tp, value in found.items() if value.offset >= 0}


async def commit(consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
    """Commit as a member of the group, once.

    The public ``commit()`` tries without end, and also without a generation: whoever was frozen until its group was
    empty would so turn back what was committed since.
    """
    coordinator = consumer._coordinator  # noqa: SLF001
    await coordinator.ensure_coordinator_known()
    async with coordinator._commit_lock:  # noqa: SLF001
        if coordinator.generation < 0:
            raise CommitFailedError("This worker is no member of its group any more.")
        await asyncio.shield(coordinator._do_commit_offsets(None, offsets))  # noqa: SLF001


def generation(consumer: AIOKafkaConsumer) -> int:
    """The generation of the group that this member is in."""
    return generation_of(consumer._coordinator)  # noqa: SLF001


def generation_of(coordinator: Any) -> int:
    return int(coordinator.generation)


def member_id(consumer: AIOKafkaConsumer) -> str | None:
    """What the group calls this member; None while it is in none."""
    return consumer._coordinator.member_id or None  # noqa: SLF001


def fetched_end(consumer: AIOKafkaConsumer, tp: TopicPartition) -> tuple[int, float] | None:
    """Up to where the log can be read, as the last fetch had it, and when that was, on the time of day.

    Of transactions that are still open nothing can be read, so that it is not the highwater mark.
    """
    subscription = consumer._subscription.subscription  # noqa: SLF001
    assignment = subscription.assignment if subscription is not None else None
    if assignment is None or tp not in assignment.tps:
        return None
    state = assignment.state_value(tp)
    end = state.lso if state.lso is not None and state.lso >= 0 else state.highwater
    return None if end is None or state.timestamp is None else (end, state.timestamp / 1000)


class Heartbeats:
    """When the last heartbeat that got through was sent; aiokafka keeps it in a local variable.

    ``losses`` counts how often the group has put this member out.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        coordinator = self.coordinator = consumer._coordinator  # noqa: SLF001
        self.beat = coordinator._do_heartbeat  # noqa: SLF001
        coordinator._do_heartbeat = self.heard  # noqa: SLF001
        self.reset = coordinator.reset_generation
        coordinator.reset_generation = self.put_out
        self.routine: Any = None
        self.last = 0.0
        self.losses = 0

    async def heard(self) -> Any:
        sent = monotonic()  # its answer may lie there for as long as the process was stopped
        success = await self.beat()
        if success:
            self.last = sent
        return success

    def put_out(self) -> None:
        self.losses += 1
        self.reset()

    @property
    def joining(self) -> bool:
        """Whether it is a member that has no heartbeats, since the group is rebalanced."""
        routine = self.coordinator._heartbeat_task  # noqa: SLF001
        beating = routine is not None and not routine.done()
        return not beating and self.last > 0.0 and generation_of(self.coordinator) >= 0

    @property
    def join_timeout(self) -> float:
        """Seconds for which the group waits for its members to join anew."""
        return float(self.coordinator._rebalance_timeout_ms) / 1000  # noqa: SLF001

    def unheard(self) -> float | None:
        """Seconds since; None while it is in no group, or joins one, which counts as a heartbeat."""
        routine = self.coordinator._heartbeat_task  # noqa: SLF001
        if routine is None or routine.done():
            return None
        if routine is not self.routine:
            self.routine, self.last = routine, monotonic()
        return monotonic() - self.last


def partitions_of(producer: AIOKafkaProducer, topic: str) -> int | None:
    """How many partitions a topic has, as far as the client knows."""
    known = producer.client.cluster.partitions_for_topic(topic)
    return len(known) if known else None


def forsake(producer: AIOKafkaProducer) -> None:
    """Nobody waits any more for what a producer has under way: that it fails is to be no error.

    Its futures are behind shields, which forget them when whoever waits is cancelled.
    """
    accumulator, transaction = producer._message_accumulator, producer._txn_manager  # noqa: SLF001
    batches = [batch for queue in accumulator._batches.values() for batch in queue]  # noqa: SLF001
    for batch in (*batches, *accumulator._pending_batches):  # noqa: SLF001
        unheeded(batch.future)
        unheeded(batch._drain_waiter)  # noqa: SLF001
    if transaction is None:
        return
    for *_, future in transaction._pending_txn_offsets:  # noqa: SLF001
        unheeded(future)
    end = transaction._transaction_waiter  # noqa: SLF001
    if end is not None:
        unheeded(end)
        if end.done():  # another error would make a new one
            transaction._transaction_waiter = asyncio.get_running_loop().create_future()  # noqa: SLF001
            unheeded(transaction._transaction_waiter)  # noqa: SLF001


def unheeded(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    """Perhaps nobody ever asks what became of it: then that is to be no error."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
