"""Workers that come and go while tasks are under way."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

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
    assert leaving.source.working == staying.source.working == 0
    ids = Counter(result.value["task_id"] for result in results)
    assert len(ids) == 2_000
    assert len(results) == 2_000


async def test_a_rebalance_that_cannot_wait_drops_late_results_and_runs_them_elsewhere(rig):
    """One result per task at the new owner; the old owner's late one is dropped and counted."""
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
        await rig.produce(
            {"id": f"t{n}", "kind": "function", "name": "held", "arguments": {"number": n}} for n in range(20)
        )
        while len(calls) < 20:
            await asyncio.sleep(0.05)
        async with rig.worker(topology()):
            results = await rig.read(20)
            gate.set()
            await rig.all_committed()
            results = await rig.read(20, settle=1.0)
        assert old.source.late == 20
    assert len({result.value["task_id"] for result in results}) == len(results) == 20
    assert any("could not wait" in warning for warning in rig.warnings)
