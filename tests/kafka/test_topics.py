"""Topics that are there, missing, refused, or of the wrong kind."""

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from streamer.errors import SettingsError
from streamer.kafka.connection import Connection
from streamer.kafka.topic_ids import identities
from streamer.kafka.topics import Wanted, create, ensure, grow, open_admin, partitions

pytestmark = pytest.mark.kafka


@pytest.fixture
def connection(broker) -> Connection:
    return Connection(bootstrap_servers=broker.bootstrap_servers)


async def test_missing_topics_are_made_with_as_many_partitions_as_the_input(connection, unique_name):
    """Unless they ask for a number of their own."""
    wanted = [Wanted(unique_name("in"), 3), Wanted(unique_name("out")), Wanted(unique_name("letters"), 1)]
    counts = await ensure(connection, wanted)
    assert [counts[topic.name] for topic in wanted] == [3, 3, 1]
    again = await ensure(connection, [Wanted(wanted[0].name), Wanted(unique_name("late"))])
    assert set(again.values()) >= {3}


async def test_missing_topics_are_named_where_none_may_be_made(connection, unique_name):
    """With the command that makes them."""
    name = unique_name("in")
    with pytest.raises(SettingsError, match=f"Missing topics: '{name}' \\(input\\).*streamer topics"):
        await ensure(connection, [Wanted(name, role="input")], create_missing=False)


async def test_a_refused_creation_gives_the_brokers_reason(connection, unique_name):
    """And the topic's name."""
    admin = await open_admin(connection)
    try:
        with pytest.raises(SettingsError, match="creation was refused"):
            await create(admin, [Wanted(unique_name("odd"), 1, {"cleanup.policy": "nonsense"})])
    finally:
        await admin.close()


async def test_a_compacted_input_is_refused(connection, unique_name):
    """Tasks that share a key would vanish unread."""
    name = unique_name("compacted")
    await ensure(connection, [Wanted(name, 1, {"cleanup.policy": "compact"})])
    with pytest.raises(SettingsError, match=r"is compacted .*cleanup\.policy=delete"):
        await ensure(connection, [Wanted(name)])


async def test_a_topic_that_another_worker_has_grown_already_is_as_it_should_be(connection, unique_name):
    """Those who find an input grown all see to its journal."""
    wanted = Wanted(unique_name(), 2)
    await ensure(connection, [wanted])
    for _ in range(2):
        await grow(connection, wanted.name, 3)
    assert (await ensure(connection, [wanted]))[wanted.name] == 3


async def test_a_topic_made_anew_has_another_id(connection, unique_name):
    """Which is how a commit of the old one is told from one of the new one."""
    name = unique_name("topic")
    await ensure(connection, [Wanted(name, 1)])
    async with AIOKafkaProducer(**connection.client("test")) as producer:
        cluster, before = await identities(producer.client, [name])
        admin = AIOKafkaAdminClient(**connection.client("test"))
        await admin.start()
        await admin.delete_topics([name])
        while name in await partitions(admin):
            pass
        await admin.close()
        await ensure(connection, [Wanted(name, 1)])
        same, after = await identities(producer.client, [name])
    assert cluster == same != ""
    assert before[name] != after[name]
