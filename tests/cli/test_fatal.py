"""What ends a worker that was running."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from tests.brokers import Broker
from tests.cli.site import Site


@pytest.mark.kafka
def test_a_loss_of_unread_tasks_is_fatal_with_exit_code_1(site: Site, broker: Broker) -> None:
    site.call("wait", 0, count=8)
    asyncio.run(lose_what_is_unread(broker, site.topic))
    with site.running() as worker:
        assert worker.end() == 1
        said = [line for line in worker.lines if "critical" in line]
        assert len(said) == 1
        assert "were deleted before they were answered" in said[0]
        assert "STREAMER_ACCEPT_LOSS" in said[0]
        assert not any("Traceback" in line for line in worker.lines)


async def lose_what_is_unread(broker: Broker, topic: str) -> None:
    """Commit the beginning, then delete what follows, as a topic's retention would."""
    servers = broker.bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        await producer.send_and_wait(topic, b"{}", partition=0)
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=topic, enable_auto_commit=False
    ) as consumer:
        consumer.assign([partition])
        await consumer.commit({partition: OffsetAndMetadata(0, "")})
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.delete_records({partition: RecordsToDelete(before_offset=-1)})
    await admin.close()
