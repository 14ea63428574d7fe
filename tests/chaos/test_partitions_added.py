"""An input that gets more partitions while a worker runs."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from streamer.kafka import adapter
from streamer.kafka.topics import Wanted, ensure
from streamer.worker import Worker
from tests.chaos.processes import DELIVERIES, questions
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(120)]


@pytest.fixture
def rig(broker, topic_name: str) -> Rig:
    return Rig(broker.bootstrap_servers, topic_name, partitions=2)


async def with_a_wide_output(rig: Rig) -> None:
    await rig.create()
    await ensure(rig.connection, [Wanted(rig.output, 8)])


async def add_partitions(rig: Rig, total: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.bootstrap)
    await admin.start()
    try:
        await admin.create_partitions({rig.name: NewPartitions(total)})
    finally:
        await admin.close()
    rig.partitions = total


async def noticed(worker: Worker, total: int, seconds: float = 30) -> None:
    """The client looks at the cluster every few minutes; here it is told to look now."""
    async with asyncio.timeout(seconds):
        while sum(partition.is_open for partition in worker.source.partitions.values()) < total:
            await adapter.client_of(worker.source.consumer).force_metadata_update()
            await asyncio.sleep(0.2)


def echoes(first: int, stop: int) -> list[dict]:
    return [{**task, "model": "echo:"} for task in questions(stop)[first:]]


async def produce_everywhere(rig: Rig, first: int, stop: int) -> None:
    for partition in range(rig.partitions):
        await rig.produce(echoes(first, stop)[partition :: rig.partitions], partition=partition)


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_added_partitions_are_read_from_their_beginning(rig: Rig, delivery: str):
    """Also what was written to them before the worker knew of them; nothing is lost or answered twice."""
    await with_a_wide_output(rig)
    async with rig.worker(delivery=delivery) as worker:
        await produce_everywhere(rig, 0, 100)
        await rig.read(100)
        await add_partitions(rig, 5)
        await produce_everywhere(rig, 100, 300)
        await noticed(worker, 5)
        await produce_everywhere(rig, 300, 400)
        await rig.all_committed()
        results = await rig.read(400, settle=0.5)
    assert {result.value["task_id"] for result in results} == {f"t{number}" for number in range(400)}
    assert len(results) == 400
    assert rig.warnings == []


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_an_output_with_fewer_partitions_takes_the_results_of_a_grown_input(rig: Rig, delivery: str):
    """Results find a place that is there, whichever partition their task came from."""
    async with rig.worker(delivery=delivery, drain_timeout=1) as worker:
        await add_partitions(rig, 5)
        await noticed(worker, 5)
        await rig.produce(echoes(0, 20), partition=4)
        await rig.all_committed(10)
        assert len(await rig.read(20, settle=0.5)) == 20


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_key_that_moves_to_an_added_partition_waits_for_its_tasks_in_the_old_one(
    rig: Rig, delivery: str
):
    """Ordered by key: one key never runs twice at once, though partitioners now put it elsewhere."""
    topology = rig.topology(ordering="key")
    running, most = 0, 0

    @topology.function
    async def slow(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.2)
        running -= 1
        return number

    tasks = [{"kind": "function", "name": "slow", "arguments": [number]} for number in range(20)]
    await with_a_wide_output(rig)
    async with rig.worker(topology, delivery=delivery) as worker:
        await rig.produce(tasks[:10], key=b"one", partition=0)
        await add_partitions(rig, 3)
        await rig.produce(tasks[10:], key=b"one", partition=2)
        await noticed(worker, 3)
        await rig.all_committed()
    results = await rig.read(20)
    assert sorted(result.value["value"] for result in results) == list(range(20))
    assert most == 1


async def test_workers_that_start_after_the_growth_keep_the_order_of_keys_too(rig: Rig):
    """Whichever of them has the old partition, and whichever the new one."""
    topology = rig.topology(ordering="key")
    order = []

    @topology.function
    async def told(number: int) -> int:
        await asyncio.sleep(0.02)
        order.append(number)
        return number

    tasks = [{"kind": "function", "name": "told", "arguments": [number]} for number in range(40)]
    await with_a_wide_output(rig)
    async with rig.worker(topology):
        pass
    await rig.produce(tasks[:20], key=b"one", partition=0)
    await add_partitions(rig, 4)
    await rig.produce(tasks[20:], key=b"one", partition=3)
    async with rig.worker(topology, ready=False), rig.worker(topology, ready=False):
        await rig.all_committed(40)
    assert order == list(range(40))
    assert any("stop the producers" in warning for warning in rig.warnings)
