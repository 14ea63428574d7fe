"""Records that are deleted before they were answered: counted, told, and gone on without only where that is accepted."""

import re

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tests.chaos.processes import DELIVERIES, Process, Site, questions
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(180)]

ACCEPTED = {"STREAMER_ACCEPT_LOSS": "true"}
COUNT = 1_500
"""With 20 kB each: far more than what a client fetches ahead."""
OUTSTANDING = 20


@pytest.fixture
def partitions() -> int:
    """One, so that a task's number is its offset."""
    return 1


async def delete_before(rig: Rig, offset: int) -> None:
    """What retention does, at a moment of our choice."""
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(rig.name, 0): RecordsToDelete(offset)})
    finally:
        await admin.close()


async def refused(site: Site, url: str, *flags: str, **env: str) -> Process:
    """A worker that ends by itself, with the exit code of what is fatal."""
    worker = await site.worker(url, *flags, sign="critical", **env)
    assert await worker.ended() == 1
    return worker


def lost(worker: Process) -> int:
    """How many offsets it says were deleted before they were answered; told once."""
    (line,) = worker.said("deleted before they were")
    return int(re.search(r"(\d+) offsets", line).group(1))


def numbers(results: list) -> set[int]:
    return {int(result.value["task_id"][1:]) for result in results}


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_what_was_deleted_while_no_worker_ran_is_counted(site: Site, delivery: str):
    """It stops with the count and the remedy, each time; with the loss accepted it answers what is left."""
    rig = site.rig
    url, _ = await site.model_server()
    flags = ("--delivery", delivery)
    worker = await site.worker(url, *flags)
    await rig.produce(questions(100))
    await rig.all_committed()
    assert await worker.terminate() == 0
    await rig.produce(questions(300)[100:])
    await delete_before(rig, 150)

    for _ in range(2):
        worker = await refused(site, url, *flags)
        assert lost(worker) == 50
        assert worker.said("STREAMER_ACCEPT_LOSS=true")
    worker = await site.worker(url, *flags, **ACCEPTED)
    await rig.all_committed()
    results = await rig.read(250, settle=0.5)
    assert await worker.terminate() == 0
    assert lost(worker) == 50
    assert numbers(results) == {*range(100), *range(150, 300)}
    assert len(results) == 250
    assert site.seen.repeated == set()


async def overrun(site: Site, delivery: str, **env: str) -> Process:
    """A worker that is far behind when what it has not read is deleted."""
    rig = site.rig
    await rig.create()
    await rig.produce(questions(COUNT, metadata={"blob": "x" * 20_000}))
    url, _ = await site.model_server("--latency", "0.05")
    slow = {"STREAMER_OUTSTANDING": str(OUTSTANDING), "STREAMER_CONCURRENCY": "10"}
    worker = await site.worker(url, "--delivery", delivery, **slow, **env)
    await rig.read(50)
    await delete_before(rig, COUNT - 100)
    return worker


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_what_was_deleted_before_a_running_worker_read_it_is_counted(site: Site, delivery: str):
    """What runs is finished, then it stops with the count; the next one counts the same."""
    rig = site.rig
    worker = await overrun(site, delivery)
    assert await worker.ended() == 1
    counted = lost(worker)
    url, _ = await site.model_server()
    assert lost(await refused(site, url, "--delivery", delivery)) == counted
    worker = await site.worker(url, "--delivery", delivery, **ACCEPTED)
    await rig.all_committed()
    results = await rig.read(COUNT - counted, settle=0.5)
    assert await worker.terminate() == 0
    assert lost(worker) == counted > 0
    assert len(numbers(results)) == len(results) == COUNT - counted
    assert numbers(results) >= set(range(COUNT - 100, COUNT))
    assert site.seen.repeated == set()


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_running_worker_goes_on_where_the_loss_is_accepted(site: Site, delivery: str):
    """Without an end, with the count."""
    rig = site.rig
    worker = await overrun(site, delivery, **ACCEPTED)
    await rig.all_committed(15)
    counted = lost(worker)
    results = await rig.read(COUNT - counted, settle=0.5)
    assert await worker.terminate() == 0
    assert len(numbers(results)) == len(results) == COUNT - counted
