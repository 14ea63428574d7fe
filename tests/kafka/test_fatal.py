"""What is fatal to a worker's reading is not to what already runs."""

import asyncio

import pytest

from streamer.errors import StreamerError
from tests.kafka.rig import Rig

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
async def test_after_a_fatal_error_what_runs_is_finished_published_and_committed(
    broker, topic_name: str, delivery: str
):
    """And what has not begun is left to others."""
    rig = Rig(broker.bootstrap_servers, topic_name, delivery=delivery)
    topology = rig.topology()
    began, go_on = asyncio.Event(), asyncio.Event()

    @topology.function
    async def slow(number: int) -> int:
        began.set()
        await go_on.wait()
        return number

    tasks = [{"kind": "function", "name": "slow", "arguments": [number]} for number in range(2)]
    async with rig.worker(topology, concurrency=1) as worker:
        await rig.produce(tasks, partition=0)
        await began.wait()
        worker.source.fail(StreamerError("The group is not ours to join."))
        with pytest.raises(StreamerError, match="not ours"):
            await worker.ended()
        go_on.set()
    (result,) = await rig.read(1, settle=0.2)
    assert result.value["value"] == 0
    assert (await rig.committed())[0][0] == 1


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
async def test_a_worker_that_gives_up_is_drained_as_soon_as_nothing_runs(
    broker, topic_name: str, delivery: str
):
    """It says why it ended, and nothing of tasks that were still running."""
    rig = Rig(broker.bootstrap_servers, topic_name, delivery=delivery)
    async with rig.worker(drain_timeout=2) as worker:
        await worker.source.give_up(StreamerError("Nothing comes any more."), 2)
        with pytest.raises(StreamerError, match="Nothing comes"):
            await worker.ended()
    assert not any("drain timeout" in warning for warning in rig.warnings)
