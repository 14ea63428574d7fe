"""Workers of two versions in turn: what one has finished the other does not run again, or says why it must."""

import json
from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

import pytest
from aiokafka import AIOKafkaConsumer

from streamer.kafka import adapter
from streamer.kafka.topic_ids import identities
from tests.chaos.processes import DELIVERIES, Site, questions
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(180)]

RECORDED = Path(__file__).parents[1] / "kafka" / "recorded" / "metadata-v1.json"
SHAPES = {commit["shape"]: commit for commit in json.loads(RECORDED.read_text())["commits"]}
COUNT = 250


@pytest.fixture
def partitions() -> int:
    """One, so that a task's number is its offset."""
    return 1


async def addressed(text: str, rig: Rig) -> str:
    """A text of version 1 as it had been written for the rig's own topic: 8 bytes each name cluster and topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=rig.bootstrap)
    await consumer.start()
    try:
        cluster, topics = await identities(adapter.client_of(consumer), [rig.name])
    finally:
        await consumer.stop()
    names = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in (cluster, topics[rig.name]))
    body = names + a2b_base64(text[4:])[16:-4]
    return "str1" + b2a_base64(body + crc32(body).to_bytes(4), newline=False).decode()


def called(site: Site) -> list[int]:
    return sorted(int(prompt.split()[1]) for prompt, times in site.seen.received.items() for _ in times)


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("shape", ["nothing above the frontier", "runs", "bits"])
async def test_what_version_one_had_finished_is_not_run_again(site: Site, shape: str, delivery: str):
    """From its committed offset and the text beside it: exactly the others are called."""
    commit = SHAPES[shape]
    await site.rig.create()
    await site.rig.produce(questions(COUNT), partition=0)
    await site.rig.commit(commit["frontier"], await addressed(commit["text"], site.rig))
    finished = {number for first, stop in commit["finished"] for number in range(first, stop)}
    expected = [number for number in range(commit["frontier"], COUNT) if number not in finished]
    url, _ = await site.model_server()
    worker = await site.worker(url, "--delivery", delivery)
    results = await site.rig.read(len(expected), settle=1.0)
    await site.rig.all_committed()
    assert await worker.terminate() == 0
    assert sorted(int(result.value["task_id"][1:]) for result in results) == expected
    assert called(site) == expected
    assert not [line for line in worker.lines if "going on from" in line]


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_version_that_is_not_known_yet_means_the_frontier_only(site: Site, delivery: str):
    """After a step back: nothing is lost, what had finished above the frontier runs again, and it says so."""
    commit = SHAPES["runs"]
    await site.rig.create()
    await site.rig.produce(questions(COUNT), partition=0)
    text = await addressed(commit["text"], site.rig)
    await site.rig.commit(commit["frontier"], text.replace("str1", "str9", 1))
    expected = list(range(commit["frontier"], COUNT))
    url, _ = await site.model_server()
    worker = await site.worker(url, "--delivery", delivery)
    await site.rig.read(len(expected), settle=0.5)
    await site.rig.all_committed()
    assert await worker.terminate() == 0
    assert called(site) == expected
    assert len([line for line in worker.lines if "version" in line and "going on from" in line]) == 1


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_version_one_can_tell_what_it_does_not_understand(site: Site, delivery: str):
    """What is committed today begins with another version's sign, or is laid out as version 1 laid it out."""
    url, _ = await site.model_server("--latency", "uniform(0.02,0.3)", "--seed", "5")
    worker = await site.worker(url, "--delivery", delivery)
    await site.rig.produce(questions(COUNT), partition=0)
    await site.rig.read(COUNT // 2)
    await worker.kill()
    offset, text = (await site.rig.committed())[0]
    assert text.startswith("str")
    if text.startswith("str1"):
        head = await addressed(text, site.rig)
        assert head == text
        assert int.from_bytes(a2b_base64(text[4:])[16:24]) == offset
    again = await site.worker(url, "--delivery", delivery)
    await site.rig.all_committed()
    results = await site.rig.read(COUNT, settle=0.5)
    assert await again.terminate() == 0
    assert {result.value["task_id"] for result in results} == {f"t{number}" for number in range(COUNT)}
