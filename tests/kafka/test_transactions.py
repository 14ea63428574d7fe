"""Exactly-once, where the broker does not answer: what is asked, how long it is waited for, and what is said."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from streamer.kafka.metadata import Identity
from streamer.kafka.outlet import Outgoing
from streamer.kafka.partition import Partition
from streamer.kafka.transactional import WITHIN
from streamer.kafka.transactions import Transactions

pytestmark = pytest.mark.virtual_time

PLACE = TopicPartition("tasks", 0)


class Broker:
    """What the consumer and all producers talk to. ``deaf``: it says nothing of how transactions end, or of what is
    committed; ``does``: it ends them all the same.
    """

    def __init__(self) -> None:
        self.deaf: set[str] = set()
        self.does = True
        self.asked = 0
        self.committed: dict[TopicPartition, SimpleNamespace] = {}
        self._coordinator = self

    async def fetch_committed_offsets(self, _):
        self.asked += 1
        if "offsets" in self.deaf:
            await asyncio.Event().wait()
        return dict(self.committed)

    def producer(self, _):
        return Producer(self)


class Producer:
    """One transaction at a time."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.client = SimpleNamespace(cluster=SimpleNamespace(partitions_for_topic=lambda _: {0}))

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def begin_transaction(self) -> None: ...
    async def partitions_for(self, _): ...

    def create_batch(self):
        return SimpleNamespace(append=lambda **_: True, record_count=lambda: 1)

    async def send_batch(self, *_, **__):
        written = asyncio.get_running_loop().create_future()
        written.set_result(None)
        return written

    async def send_offsets_to_transaction(self, offsets, _):
        self.offsets = offsets

    async def commit_transaction(self) -> None:
        if self.broker.does:
            self.broker.committed |= self.offsets
        if "ends" in self.broker.deaf:
            await asyncio.Event().wait()


class Site:
    """One partition's transactions."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.said: list[str] = []
        self.partition = Partition("tasks", 0)
        self.partition.open(0)
        self.partitions = [self.partition]
        self.acknowledged: list[int] = []
        self.transactions = Transactions(
            self.broker.producer, "group", lambda item, _: ("out", item), self.said.append, lambda: 1
        )
        self.transactions.acknowledged = self.finish
        self.transactions.dropped = lambda record: None
        self.transactions.attach(
            lambda: self.partitions,
            {"tasks": Identity("cluster", "topic")},
            self.broker,
            lambda partition: None,
            lambda: True,
        )

    def finish(self, records) -> None:
        for record in records:
            self.partition.finish(record)
            self.acknowledged.append(record.offset)

    async def settle(self, seconds: float) -> None:
        """Let the clock run."""
        self.transactions.wake.set()
        await asyncio.sleep(seconds)

    def answer(self, offset: int) -> None:
        """A task has its result."""
        (record,) = self.partition.deliver([SimpleNamespace(offset=offset, key=None)], offset + 1)
        assert self.partition.begin(record)
        assert self.partition.answer(record)
        self.transactions.on_next(Outgoing(record, None, b"1", [], None))


@pytest.fixture
async def site():
    found = Site()
    await found.transactions.start(["out"])
    await found.settle(1)
    assert found.transactions.transacting.count == 1  # the commit that pins it
    yield found
    await found.transactions.close(1)


async def test_what_had_been_committed_though_nobody_said_so_counts_once_and_writing_works_again(site):
    site.broker.deaf = {"ends"}
    site.answer(0)
    await site.settle(WITHIN + 0.12)
    assert (len(site.said), site.acknowledged) == (1, [])
    site.broker.deaf = set()
    await site.settle(10)
    assert site.acknowledged == [0]
    assert [sentence.split(":")[0] for sentence in site.said] == [
        "Can't write to out (tasks-0)",
        "Writing to out (tasks-0) works again.",
    ]


async def test_a_partition_that_is_given_up_while_it_can_not_write_takes_its_complaint_with_it(site):
    site.broker.deaf = {"ends"}
    site.answer(0)
    await site.settle(WITHIN + 0.12)
    assert site.transactions.complaint.stuck
    site.partition.close()
    site.partitions = []
    await site.settle(1)
    assert not site.transactions.complaint.stuck
    assert site.said[1:] == ["Nothing is written to out (tasks-0) from here any more."]


async def test_who_asks_what_became_of_a_transaction_waits_no_longer_than_for_one(site):
    """And then asks again, with what was sent still in hand."""
    site.broker.deaf = {"ends", "offsets"}
    site.answer(0)
    await site.settle(WITHIN + 0.12)
    before = site.broker.asked
    await site.settle(4 * WITHIN)
    assert site.broker.asked >= before + 3
    assert site.acknowledged == []
    site.broker.deaf = set()
    await site.settle(2 * WITHIN)
    assert site.acknowledged == [0]
    assert site.transactions.transacting.count == 2
