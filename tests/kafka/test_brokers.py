"""The brokers that the tests run on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from tests.brokers import Broker, OwnBroker


@asynccontextmanager
async def running(client):
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


def producer(broker: Broker, **settings) -> AsyncIterator[AIOKafkaProducer]:
    return running(AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, **settings))


def consumer(broker: Broker, *topics: str, **settings) -> AsyncIterator[AIOKafkaConsumer]:
    settings = {"auto_offset_reset": "earliest", "enable_auto_commit": False} | settings
    return running(AIOKafkaConsumer(*topics, bootstrap_servers=broker.bootstrap_servers, **settings))


async def values(broker: Broker, topic: str, count: int, **settings) -> list[bytes]:
    async with consumer(broker, topic, **settings) as reader:
        return [(await asyncio.wait_for(reader.getone(), 30)).value for _ in range(count)]


@pytest.mark.broker
async def test_what_is_produced_is_consumed_with_its_key_and_headers(broker: Broker, topic_name: str) -> None:
    async with producer(broker) as sender:
        await sender.send_and_wait(topic_name, b"value", key=b"key", headers=[("name", b"header")])
    async with consumer(broker, topic_name) as reader:
        record = await asyncio.wait_for(reader.getone(), 30)
    assert (record.value, record.key, record.headers) == (b"value", b"key", (("name", b"header"),))


@pytest.mark.broker
async def test_a_topic_that_appears_on_first_use_has_four_partitions(broker: Broker, topic_name: str) -> None:
    if broker.kind == "environment":
        pytest.skip("its settings are somebody else's")
    async with producer(broker) as sender:
        await sender.send_and_wait(topic_name, b"first")
        assert await sender.partitions_for(topic_name) == {0, 1, 2, 3}


@pytest.mark.broker
async def test_a_group_commits_offsets_with_metadata(
    broker: Broker, topic_name: str, unique_name: Callable[[str], str]
) -> None:
    partition = TopicPartition(topic_name, 0)
    metadata = "m" * 4096
    async with producer(broker) as sender:
        await sender.send_and_wait(topic_name, b"value", partition=0)
    group = unique_name("group")
    async with consumer(broker, topic_name, group_id=group) as reader:
        await asyncio.wait_for(reader.getone(), 30)
        await reader.commit({partition: OffsetAndMetadata(1, metadata)})
    async with consumer(broker, group_id=group) as reader:
        reader.assign([partition])
        committed = await reader._coordinator.fetch_committed_offsets([partition])
    assert committed == {partition: OffsetAndMetadata(1, metadata)}


@pytest.mark.kafka
async def test_a_real_broker_hides_what_was_aborted(broker: Broker, topic_name: str) -> None:
    async with producer(broker, transactional_id=topic_name) as sender:
        await sender.begin_transaction()
        await sender.send_and_wait(topic_name, b"aborted", partition=0)
        await sender.abort_transaction()
        async with sender.transaction():
            await sender.send_and_wait(topic_name, b"committed", partition=0)
    assert await values(broker, topic_name, 1, isolation_level="read_committed") == [b"committed"]


@pytest.mark.kafka
@pytest.mark.timeout(240)
async def test_a_private_broker_keeps_address_and_data_when_it_is_killed_or_stopped(
    private_broker: Callable[[], OwnBroker], topic_name: str
) -> None:
    broker = private_broker()
    async with producer(broker, acks="all") as sender:
        await sender.send_and_wait(topic_name, b"before", partition=0)
    broker.kill()
    with pytest.raises(KafkaError):
        async with producer(broker):
            pass
    broker.start()
    async with producer(broker, acks="all") as sender:
        await sender.send_and_wait(topic_name, b"between", partition=0)
    broker.stop()
    broker.start()
    assert await values(broker, topic_name, 2) == [b"before", b"between"]


@pytest.mark.kafka
async def test_a_paused_broker_answers_when_it_goes_on(
    private_broker: Callable[[], OwnBroker], topic_name: str
) -> None:
    broker = private_broker()
    async with producer(broker, acks="all") as sender:
        await sender.send_and_wait(topic_name, b"before", partition=0)
        broker.pause()
        waiting = asyncio.ensure_future(sender.send_and_wait(topic_name, b"while", partition=0))
        done, _ = await asyncio.wait({waiting}, timeout=1)
        assert not done
        broker.unpause()
        await asyncio.wait_for(waiting, 30)


@pytest.mark.kafka
def test_private_brokers_are_several(private_broker: Callable[[], OwnBroker]) -> None:
    assert private_broker().bootstrap_servers != private_broker().bootstrap_servers
