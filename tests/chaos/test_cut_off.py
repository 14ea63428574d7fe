"""A worker that can't reach its broker, while the broker is well."""

import asyncio
import time

import pytest

from tests.chaos.processes import DELIVERIES, OUTAGE, SESSION, Site, questions
from tests.chaos.proxy import Proxy
from tests.chaos.reading import Reader
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(600)]

BEFORE, AFTER = 3_000, 1_000
LATENCY = ("--latency", "lognormal(0.3,0.5)", "--seed", "5")


@pytest.mark.parametrize(
    ("fault", "company"),
    [("cut", True), ("stalled", False)],
    ids=["cut-with-another", "stalled-alone"],
)
@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_worker_cut_off_from_its_broker_comes_back_by_itself(
    private_broker, topic_name, tmp_path, delivery, fault, company
):
    """Past its session: nothing is lost, it answers again, and what is paid again it had not committed."""
    async with Proxy() as proxy:
        broker = await asyncio.to_thread(private_broker, proxy=proxy.address)
        proxy.target = broker.behind_proxy
        site = Site(Rig(broker.bootstrap_servers, topic_name), tmp_path)
        try:
            url, log = await site.model_server(*LATENCY)
            victim = await site.worker(url, bootstrap=proxy.address, delivery=delivery)
            workers = [victim]
            if company:
                url, _ = await site.model_server(*LATENCY)
                workers.append(await site.worker(url, delivery=delivery))
            async with Reader(site.rig) as reader:
                await site.rig.produce(questions(BEFORE))
                await reader.until(500)
                cut = time.time()
                await (proxy.cut() if fault == "cut" else proxy.stall())
                await asyncio.sleep(OUTAGE)
                if company:
                    await reader.until(BEFORE)
                healed = time.time()
                await proxy.heal()
                await reader.until(BEFORE)
                await site.rig.produce(questions(BEFORE + AFTER)[BEFORE:])
                await reader.until(BEFORE + AFTER)
                await site.rig.all_committed(60)
                await asyncio.sleep(1)
                reader.all_there(BEFORE + AFTER, delivery)
            seen = site.seen
            print(
                f"{fault} for {healed - cut:.0f} s, {len(workers)} workers: {BEFORE + AFTER} tasks, "
                f"{len(seen.calls) - BEFORE - AFTER} calls made again, {len(reader.repeated)} results repeated"
            )
            assert (
                seen.paid_again_without_excuse([(log, healed + SESSION)], healed + SESSION - cut + 0.5) == []
            )
            assert any(where == log and at > healed for where, _, at, _ in seen.calls)  # it answers again
            for worker in workers:
                assert await worker.terminate() == 0
                assert not any("Traceback" in line for line in worker.lines)
        finally:
            await site.close()
