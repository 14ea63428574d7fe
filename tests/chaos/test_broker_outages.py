"""A broker that goes away, and an output that takes nothing."""

import asyncio
import os
from collections import Counter

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streamer.kafka.topics import Wanted, ensure
from tests.chaos.processes import ROUNDS, Site, questions
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(900)]

OUTAGE = float(os.environ.get("STREAMER_TEST_OUTAGE", "10"))
"""Seconds."""


async def test_a_broker_killed_again_and_again_loses_nothing_and_stalls_nothing(
    private_broker, topic_name, tmp_path
):
    """Killed in the middle, away for ten seconds, back: none missing, none stalled, and no call made twice."""
    broker = private_broker()
    site = Site(Rig(broker.bootstrap_servers, topic_name), tmp_path)
    try:
        url, _ = await site.model_server("--latency", "lognormal(0.3,0.5)", "--seed", "7")
        worker = await site.worker(url)
        produced = 0
        for _ in range(ROUNDS):
            await site.rig.produce(questions(produced + 1_000)[produced:])
            produced += 1_000
            await site.rig.read(produced - 600)
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(OUTAGE)
            await asyncio.to_thread(broker.start)
        results = await site.rig.read(produced, seconds=120, settle=2.0)
        await site.rig.all_committed(60)
        assert await worker.terminate() == 0
        ids = Counter(result.value["task_id"] for result in results)
        assert set(ids) == {f"t{number}" for number in range(produced)}
        calls = sum(map(len, site.seen.received.values()))
        print(f"{produced} tasks, {ROUNDS} outages of {OUTAGE:g} s: {len(results)} results, {calls} calls")
        for line in worker.lines:
            assert "Traceback" not in line
    finally:
        await site.close()


async def test_an_output_that_takes_nothing_bounds_what_is_outstanding(private_broker, topic_name):
    """The worker says so, takes no more than it may, and goes on when it can."""
    broker = private_broker(auto_create_topics_enable="false")
    rig = Rig(broker.bootstrap_servers, topic_name)
    topology = rig.topology(outstanding=300)
    async with rig.worker(topology) as worker:
        await delete_output(rig)
        await rig.produce(
            {"id": f"t{number}", "kind": "llm", "model": "echo:", "prompt": "x"} for number in range(3_000)
        )
        async with asyncio.timeout(60):
            while not rig.warnings:
                await asyncio.sleep(0.1)
        source = worker.source
        assert source.waiting + source.working <= 300
        assert "Can't write" in rig.warnings[0]
        await ensure(rig.connection, [Wanted(rig.output, rig.partitions)])
        results = await rig.read(3_000, seconds=90, settle=0.5)
        await rig.all_committed()
    assert len({result.value["task_id"] for result in results}) == len(results) == 3_000
    assert "works again" in rig.warnings[-1]


async def delete_output(rig: Rig) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([rig.output])
    finally:
        await admin.close()
