"""One run slot, shared fairly: what waits lends it, what cannot be cancelled keeps it."""

import asyncio
import threading

import pytest

from streamer import retry
from streamer.errors import CallFailed
from streamer.providers import provider
from tests.kafka.rig import Rig

pytestmark = pytest.mark.broker


@pytest.fixture
def rig(broker, topic_name) -> Rig:
    return Rig(broker.bootstrap_servers, topic_name, partitions=1)


def ids(results) -> list[str]:
    return [result.value["task_id"] for result in results]


async def test_a_task_told_to_wait_holds_up_nobody(rig):
    """The provider asks for a long wait: a hundred others are answered before its next attempt."""
    topology = rig.topology(concurrency=1)
    calls: list[str] = []
    others_done = asyncio.Event()

    async def told_to_wait(request):
        calls.append(request.prompt)
        if request.prompt == "wait" and calls.count("wait") == 1:
            raise CallFailed("rate_limit", "slow down", retry_after=2.0)
        if request.prompt == "wait":
            assert others_done.is_set()
        return request.prompt

    model = provider(told_to_wait, name=rig.name)

    @topology.task
    def answer(task):
        return model(task).pipe(retry(2))

    tasks = [{"id": "wait", "kind": "llm", "prompt": "wait"}]
    tasks += [{"id": f"t{number}", "kind": "llm", "prompt": "x"} for number in range(100)]
    async with rig.worker(topology) as worker:
        await rig.produce(tasks, partition=0)
        assert "wait" not in ids(await rig.read(100))
        others_done.set()
        results = await rig.read(101)
        assert worker.slots.peak == 1
    assert ids(results)[-1] == "wait"
    assert results[-1].value["status"] == "succeeded"


async def test_of_the_tasks_that_wait_the_higher_priority_is_begun_first(rig):
    topology, begun, go = rig.topology(concurrency=1), [], asyncio.Event()

    async def note(request):
        begun.append(request.prompt)
        await go.wait()
        return request.prompt

    model = provider(note, name=rig.name)
    topology.task(lambda task: model(task))
    tasks = [
        {"id": name, "kind": "llm", "prompt": name, "priority": priority}
        for name, priority in (("first", 0), ("low", -1), ("next", 0), ("high", 5), ("higher", 6))
    ]
    async with rig.worker(topology) as worker:
        await rig.produce(tasks[:1], partition=0)
        while not begun:
            await asyncio.sleep(0.01)
        await rig.produce(tasks[1:], partition=0)
        async with asyncio.timeout(30):
            while worker.watch.snapshot().outstanding < len(tasks):
                await asyncio.sleep(0.01)
        go.set()
        await rig.read(5)
    assert begun == ["first", "higher", "high", "next", "low"]


async def test_a_thread_that_cannot_be_cancelled_keeps_the_slot_until_it_ends(rig):
    """Its result is out after the timeout and the grace; the next task begins when the thread has ended."""
    topology = rig.topology(concurrency=1)
    release = threading.Event()

    @topology.function
    def stuck() -> str:
        release.wait(30)
        return "too late"

    tasks = [
        {"id": "stuck", "kind": "function", "name": "stuck", "timeout": 0.2},
        {"id": "next", "kind": "llm", "model": "echo:", "prompt": "x"},
    ]
    async with rig.worker(topology) as worker:
        await rig.produce(tasks, partition=0)
        (first,) = await rig.read(1, settle=0.5)
        assert (first.value["task_id"], first.value["status"]) == ("stuck", "timed_out")
        assert worker.slots.active == 1
        release.set()
        results = await rig.read(2)
    assert ids(results) == ["stuck", "next"]
