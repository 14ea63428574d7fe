"""A module of two topologies in one process, which is killed, and rebalanced with another."""

import pytest

from tests.chaos.processes import DELIVERIES, Site, size
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(300)]

MODULE = """
from streamer import Topology

first = Topology(input="{0}", output="{0}-results", concurrency=50)
second = Topology(input="{1}", output="{1}-results", concurrency=50, ordering="key")
"""


def tasks(name: str, count: int) -> list[dict]:
    return [
        {"id": f"{name}-{number}", "kind": "llm", "model": "openai:x", "prompt": f"{name} {number}"}
        for number in range(count)
    ]


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_both_complete_through_a_kill_and_a_rebalance(site: Site, delivery: str):
    """None lost of either, and no call made again that no kill explains."""
    count = size(1_500)
    rigs = [Rig(site.rig.bootstrap, f"{site.rig.name}-{name}", 4) for name in ("a", "b")]
    module = site.directory / "both.py"
    module.write_text(MODULE.format(*(rig.name for rig in rigs)))
    servers = [await site.model_server("--latency", "lognormal(0.05,0.5)", "--seed", str(n)) for n in (1, 2)]
    for rig in rigs:
        await rig.create()
        await rig.produce(tasks(rig.name, count), key=lambda number: b"k%d" % (number % 97))
    worker = await site.run(servers[0][0], str(module), "--delivery", delivery)
    for rig in rigs:
        assert worker.said("ready")[0].count(f"topology {rig.name}, ") == 1
        await rig.read(count // 6)
    kill = (servers[0][1], await worker.kill())

    worker = await site.run(servers[0][0], str(module), "--delivery", delivery)
    other = await site.run(servers[1][0], str(module), "--delivery", delivery)
    for rig in rigs:
        await rig.read(count // 2)
    assert await worker.terminate() == 0
    for rig in rigs:
        await rig.all_committed(120)
        results = await rig.read(count, settle=0.5)
        assert {result.value["task_id"] for result in results} == {
            f"{rig.name}-{number}" for number in range(count)
        }
        assert {result.value["status"] for result in results} == {"succeeded"}
    assert await other.terminate() == 0
    assert site.seen.paid_again_without_excuse([kill]) == []
