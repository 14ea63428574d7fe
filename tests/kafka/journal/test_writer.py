"""Writing to a journal that can't be written to."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streamer.errors import SettingsError
from tests.kafka.journal.outcomes import outcome
from tests.kafka.journal.site import Site, recalled

pytestmark = pytest.mark.kafka


async def test_a_broker_without_the_topic_is_a_sentence_and_a_topic_that_vanishes_is_waited_for(
    private_broker, unique_name
):
    """Who settles waits; it is told once, and once more that it works again."""
    broker = private_broker(auto_create_topics_enable="false")
    site = Site(broker.bootstrap_servers, unique_name("journal"))
    try:
        with pytest.raises(SettingsError, match=r"Missing topics: .* \(journal\)"):
            await site.writer(request_timeout_ms=500)
        await site.create()
        writer = await site.writer(request_timeout_ms=2_000, metadata_max_age_ms=500)
        channel = (await site.own(writer=writer))[0]
        admin = AIOKafkaAdminClient(bootstrap_servers=site.bootstrap)
        await admin.start()
        await admin.delete_topics([site.topic])
        await admin.close()
        settling = asyncio.create_task(channel.settle(channel.note(7, outcome(5))))
        async with asyncio.timeout(60):
            while not site.warnings:
                await asyncio.sleep(0.05)
        assert not settling.done()
        await site.create()
        async with asyncio.timeout(60):
            await settling
        assert recalled((await site.own())[0], [7]) == {7: 5}
        assert "Can't write" in site.warnings[0]
        assert "works again" in site.warnings[1]
        assert len(site.warnings) == 2
    finally:
        await site.close()


async def test_a_broker_that_was_killed_gets_what_waited(private_broker, unique_name):
    """All of it, when it is back; nothing counts as settled before."""
    broker = private_broker()
    site = Site(broker.bootstrap_servers, unique_name("journal"))
    try:
        await site.create()
        channel = (await site.own())[0]
        await channel.settle(channel.note(0, outcome(1)))
        await asyncio.to_thread(broker.kill)
        for offset in range(1, 500):
            ticket = channel.note(offset, outcome(offset + 1))
        assert not await channel.flush(1.0)
        await asyncio.to_thread(broker.start)
        async with asyncio.timeout(60):
            await channel.settle(ticket)
        second = (await site.own(low_water=channel.log.low_water))[0]
        assert recalled(second, range(500)) == {offset: offset + 1 for offset in range(500)}
    finally:
        await site.close()
