"""What a sink says of an output that it can't write to, without a broker."""

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import NotLeaderForPartitionError

from streamer.kafka.outlet import Outgoing
from streamer.kafka.partition import Partition
from streamer.kafka.sink import Sink

pytestmark = pytest.mark.virtual_time


class Refusing:
    """A producer whose broker takes nothing."""

    client = SimpleNamespace(cluster=SimpleNamespace(partitions_for_topic=lambda _: {0}))

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def partitions_for(self, _): ...

    def create_batch(self):
        return SimpleNamespace(append=lambda **_: True)

    async def send_batch(self, *_, **__):
        raise NotLeaderForPartitionError


async def test_a_partition_that_is_given_up_takes_its_complaint_with_it():
    said, dropped = [], []
    sink = Sink(Refusing, lambda item, _: ("out", item), said.append, lambda: 1)
    sink.dropped = dropped.append
    await sink.start(["out"])
    partition = Partition("tasks", 0)
    partition.open(0)
    partition.committed(partition.commit())
    (record,) = partition.deliver([SimpleNamespace(offset=0, key=None)], 1)
    assert partition.begin(record)
    assert partition.answer(record)
    sink.on_next(Outgoing(record, None, b"1", [], None))
    await asyncio.sleep(1)
    assert sink.complaint.stuck
    partition.close()
    await asyncio.sleep(10)
    assert (sink.complaint.stuck, dropped) == (False, [record])
    assert [sentence.split(":")[0] for sentence in said] == [
        "Can't write to out-0",
        "Nothing is written to out-0 from here any more.",
    ]
    await sink.close(1)
