"""A topology as a stream, on a broker: each task has its result, whatever the stream does with it."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
import reactivex as rx
from reactivex import operators as ops

from streamer import Topology, batched
from streamer.providers import Registry
from tests.kafka.rig import Rig

pytestmark = pytest.mark.broker

TASKS = 1_000


@pytest.fixture(params=["at-least-once", "exactly-once"])
def rig(request, broker, topic_name) -> Rig:
    return Rig(broker.bootstrap_servers, topic_name, delivery=request.param)


def task(number: int) -> dict:
    return {"id": f"t{number}", "kind": "llm", "model": "echo:", "prompt": str(number)}


def batches(topology: Topology, size: int, sizes: list[int], answer_within: float = 60) -> None:
    """Have tasks answered in batches, those whose number ends in 7 not at all."""

    @topology.stream(answer_within=answer_within)
    def answers(tasks):
        def each(batch):
            sizes.append(len(batch))
            return rx.from_iterable([(task, 2 * int(task.prompt)) for task in batch])

        return tasks.pipe(
            ops.filter(lambda task: not task.prompt.endswith("7")),
            ops.buffer_with_time_or_count(0.2, size),
            ops.flat_map(each),
        )


def check(results) -> None:
    """One result per task, in its task's partition, and the right one."""
    assert len({out.value["task_id"] for out in results}) == len(results) == TASKS
    for out in results:
        number = int(out.value["task_id"].removeprefix("t"))
        if number % 10 == 7:
            assert (out.value["status"], out.value["error"]["category"]) == ("failed", "internal")
        else:
            assert (out.value["status"], out.value["value"]) == ("succeeded", 2 * number)


async def test_a_thousand_tasks_in_batches_larger_than_the_concurrency(rig):
    """Those that the stream leaves out are failed in time; every offset is committed."""
    topology, sizes = rig.topology(concurrency=10), []
    batches(topology, 50, sizes, answer_within=3)
    async with rig.worker(topology):
        await rig.produce(task(number) for number in range(TASKS))
        results = await rig.read(TASKS, settle=0.5)
        await rig.all_committed()
    check(results)
    assert max(sizes) == 50


async def test_a_drain_completes_the_stream(rig):
    """What was gathered is answered at once, and what the stream left out is failed at once."""
    topology, sizes = rig.topology(), []

    @topology.stream(answer_within=600)
    def answers(tasks):
        def each(batch):
            sizes.append(len(batch))
            return rx.from_iterable([(task, len(batch)) for task in batch])

        kept = ops.filter(lambda task: task.prompt != "0")
        return tasks.pipe(kept, ops.buffer_with_count(10_000), ops.flat_map(each))

    async with rig.worker(topology) as worker:
        await rig.produce(task(number) for number in range(30))
        while worker.source.dispatcher.working < 30:
            await asyncio.sleep(0.02)
    results = await rig.read(30, settle=0.5)
    assert sizes == [29]
    assert Counter(out.value["status"] for out in results) == {"succeeded": 29, "failed": 1}
    assert rig.warnings == []
    await rig.all_committed()


async def test_another_worker_joins_and_the_first_leaves(rig):
    """What is in the stream when partitions move has its results, from one worker or the other."""

    def slow() -> Topology:
        topology = rig.topology()

        @topology.stream(answer_within=60)
        def answers(tasks):
            return tasks.pipe(
                ops.flat_map(lambda task: rx.timer(0.5).pipe(ops.map(lambda _: (task, 2 * int(task.prompt)))))
            )

        return topology

    await rig.create()
    async with AsyncExitStack() as second:
        async with rig.worker(slow()) as one:
            await rig.produce((task(n) for n in range(TASKS)), key=lambda n: b"%d" % n)
            while one.source.dispatcher.working < 50:
                await asyncio.sleep(0.02)
            two = await second.enter_async_context(rig.worker(slow()))
            await rig.all_assigned(one, two)
            await rig.produce((task(n) for n in range(TASKS, TASKS + 200)), key=lambda n: b"%d" % n)
        results = await rig.read(TASKS + 200, distinct=True, settle=0.5)
        await rig.all_committed()
    assert {out.value["task_id"]: out.value["value"] for out in results} == {
        f"t{number}": 2 * number for number in range(TASKS + 200)
    }


async def test_tasks_share_calls_by_batched(rig):
    """Fewer run slots than a call has room for: the rest of them is not waited for longer than max_wait."""
    asked: list[int] = []

    async def embed(request):
        asked.append(len(request.messages))
        await asyncio.sleep(0.01)
        return [int(message.content) for message in request.messages]

    topology = rig.topology(concurrency=40)
    topology.task(batched(Registry().declare(embed, {"name": "embed", "concurrency": 2}), 32, 0.05).__call__)
    async with rig.worker(topology):
        await rig.produce(task(number) for number in range(TASKS))
        results = await rig.read(TASKS, settle=0.5)
        await rig.all_committed()
    assert sorted(out.value["value"] for out in results) == list(range(TASKS))
    assert {out.value["attempts"][0]["provider"] for out in results} == {"embed"}
    assert sum(asked) == TASKS
    assert max(asked) == 32
