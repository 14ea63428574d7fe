"""A worker that watches itself, on a broker."""

import asyncio

import pytest

from streamer.errors import StreamerError
from streamer.kafka import watch
from tests.kafka.rig import Rig

pytestmark = pytest.mark.kafka


@pytest.fixture
def rig(broker, topic_name) -> Rig:
    return Rig(broker.bootstrap_servers, topic_name, partitions=1)


def echo(number: int) -> dict:
    return {"id": f"t{number}", "kind": "llm", "model": "echo:", "prompt": "?"}


async def test_a_consumer_that_goes_deaf_is_asked_to_read_again_and_then_ends_the_worker(rig, monkeypatch):
    """What runs elsewhere is let end first, and the error says why."""
    monkeypatch.setattr(watch, "ASK_AFTER", 0.5)
    async with rig.worker() as worker:
        worker.watch.dog.silent_after = 1.0
        worker.watch.dog.give_up_after = 3.0
        worker.source.consumer._fetcher._fetch_task.cancel()
        await rig.produce([echo(1)])  # the fetch that is under way still brings it
        await rig.read(1)
        await rig.produce([echo(2)])
        with pytest.raises(StreamerError, match=r"fetching anew did not help\. This worker ends"):
            await asyncio.wait_for(worker.ended(), 60)
        assert [said for said in rig.warnings if "fetching anew from 1" in said] != []
        assert worker.watch.snapshot().state == "ending"


async def test_reading_again_loses_and_repeats_nothing(rig):
    async with rig.worker() as worker:
        await rig.produce([echo(number) for number in range(20)])
        await rig.read(20)
        worker.source.poller.read_again(f"{rig.name}-0")
        await rig.produce([echo(number) for number in range(20, 30)])
        found = await rig.read(30, settle=1.0)
        assert sorted(int(out.value["task_id"][1:]) for out in found) == list(range(30))


async def test_heartbeats_are_heard(rig):
    async with rig.worker(session_timeout=6.0) as worker:
        beats = worker.source.membership.heartbeats
        assert beats.unheard() is not None
        first = beats.last
        while beats.last == first:
            await asyncio.sleep(0.1)
        assert beats.unheard() < 6.0
        assert worker.watch.dog.troubles == {}
