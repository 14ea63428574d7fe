"""Workers that come and go while tasks are under way."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from streamer.kafka import adapter
from tests.kafka.rig import Rig

pytestmark = pytest.mark.kafka


@pytest.fixture
def rig(broker, topic_name) -> Rig:
    return Rig(broker.bootstrap_servers, topic_name)


def slow(number: int) -> dict:
    return {
        "id": f"t{number}",
        "kind": "llm",
        "model": "simulated:slow?latency=uniform(0.05,0.3)&seed=3",
        "prompt": f"question {number}",
    }


async def spread(rig: Rig, count: int) -> None:
    """Tasks over all partitions, each in that of its number."""
    for partition in range(rig.partitions):
        numbers = range(partition, count, rig.partitions)
        held = [
            {"id": f"t{n}", "kind": "function", "name": "held", "arguments": {"number": n}} for n in numbers
        ]
        await rig.produce(held, partition=partition)


@pytest.mark.parametrize("ordering", ["none", "key"])
async def test_a_worker_that_joins_and_one_that_leaves_lose_and_repeat_nothing(rig, ordering):
    """What runs is finished before the partitions go; what had not begun begins elsewhere."""
    async with AsyncExitStack() as first, rig.worker(rig.topology(ordering=ordering)) as staying:
        leaving = await first.enter_async_context(rig.worker(rig.topology(ordering=ordering)))
        await rig.produce([slow(number) for number in range(2_000)], key=lambda n: f"k{n % 500}".encode())
        async with rig.worker(rig.topology(ordering=ordering)) as third:
            await rig.read(700)
            assert len(third.source.partitions) > 0
            await first.aclose()
            results = await rig.read(2_000, settle=1.0)
        await rig.all_committed()
    assert leaving.source.dispatcher.working == staying.source.dispatcher.working == 0
    ids = Counter(result.value["task_id"] for result in results)
    assert len(ids) == 2_000
    assert len(results) == 2_000


async def test_rebalance_keeps_work(rig):
    """What comes back is not restarted; what went elsewhere runs there, and its late results are dropped."""
    gate = asyncio.Event()
    calls: Counter = Counter()

    def topology():
        made = rig.topology(revoke_timeout=1.0)

        @made.function
        async def held(number: int) -> int:
            calls[number] += 1
            if calls[number] == 1:
                await gate.wait()
            return number

        return made

    async with rig.worker(topology()) as old:
        await spread(rig, 20)
        while len(calls) < 20:
            await asyncio.sleep(0.05)
        async with rig.worker(topology()) as new:
            await rig.all_assigned(old, new)
            stayed = [
                n for n in range(20) if n % rig.partitions in {tp.partition for tp in old.source.partitions}
            ]
            results = await rig.read(20 - len(stayed))
            gate.set()
            await rig.all_committed()
            results = await rig.read(20, settle=1.0)
        assert old.source.dispatcher.late == 20 - len(stayed) == 10
    assert len({result.value["task_id"] for result in results}) == len(results) == 20
    assert sorted(n for n in calls if calls[n] == 1) == stayed
    assert (
        sum("went to another worker while 5 of its tasks ran here" in warning for warning in rig.warnings)
        == 2
    )


async def test_work_under_way_goes_on_when_its_partition_goes_away_and_comes_back(rig):
    """From A to B and back to A: what B had is read anew, what only A had is not."""
    gate = asyncio.Event()
    calls: Counter = Counter()
    topology = rig.topology(revoke_timeout=1.0, drain_timeout=2.0)

    @topology.function
    async def held(number: int) -> int:
        calls[number] += 1
        await gate.wait()
        return number

    async with rig.worker(topology) as old:
        await spread(rig, 8)
        while len(calls) < 8:
            await asyncio.sleep(0.05)
        async with rig.worker(topology) as new:
            await rig.all_assigned(old, new)
            kept = {tp.partition for tp in old.source.partitions}
            while sum(calls.values()) < 12:
                await asyncio.sleep(0.05)
        await rig.all_assigned(old)
        while sum(calls.values()) < 16:
            await asyncio.sleep(0.05)
        assert {n for n in calls if calls[n] == 1} == {n for n in range(8) if n % rig.partitions in kept}
        gate.set()
        results = await rig.read(8, settle=1.0)
        await rig.all_committed()
    assert len({result.value["task_id"] for result in results}) == len(results) == 8


async def test_a_worker_keeps_what_it_has_when_others_come(rig):
    """The assignment is sticky: of four partitions a second worker takes two, and the rest stay where they were."""
    async with rig.worker() as first:
        before = set(first.source.partitions)
        async with rig.worker() as second:
            await rig.all_assigned(first, second)
            kept = set(first.source.partitions)
            async with rig.worker() as third:
                await rig.all_assigned(first, second, third)
                assert set(first.source.partitions) <= kept <= before
                seconds = set(second.source.partitions)
            await rig.all_assigned(first, second)
            assert set(second.source.partitions) >= seconds


async def test_a_worker_with_a_name_of_its_own_comes_back_without_a_rebalance(rig):
    """Static membership: restarted within the session timeout, it has its partitions again, and nobody was asked."""
    async with rig.worker(group_instance_id="b") as staying:
        async with rig.worker(group_instance_id="a") as leaving:
            await rig.all_assigned(staying, leaving)
            mine, generation = set(leaving.source.partitions), adapter.generation(staying.source.consumer)
        async with rig.worker(group_instance_id="a") as again:
            await rig.all_assigned(staying, again)
            assert set(again.source.partitions) == mine
            assert adapter.generation(staying.source.consumer) == generation
