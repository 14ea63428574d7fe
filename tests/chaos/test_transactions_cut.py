"""Transactions whose end nobody confirmed: the broker did what it was asked, and its answer was lost."""

import asyncio
import random

import pytest

from tests.chaos.processes import ROUNDS, Site, questions
from tests.chaos.proxy import END_TXN, Proxy
from tests.chaos.reading import Reader
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(900)]

MODEL = ("--latency", "uniform(0.05,0.15)", "--seed", "41")
EACH = 300
"""Tasks of a round: some seconds of transactions of a few results each."""
LONGEST = 12.0
"""Seconds without answers, once: more than a transaction may take."""


@pytest.mark.parametrize("then", ["healed", "killed", "rebalanced"])
async def test_a_transaction_whose_end_is_not_confirmed_counts_once(
    private_broker, topic_name, tmp_path, then
):
    """None lost, none twice, whether the line is healed, the worker killed, or another one joins meanwhile.

    In each round, from a random moment on, the answer to the end of a transaction and all that come after it are
    lost; a worker that was not killed finds out by itself what came of it, and goes on.
    """
    chance = random.Random(43)
    async with Proxy() as proxy:
        broker = await asyncio.to_thread(private_broker, proxy=proxy.address)
        proxy.target = broker.behind_proxy
        site = Site(Rig(broker.bootstrap_servers, topic_name), tmp_path)
        flags = {"delivery": "exactly-once", "STREAMER_CONCURRENCY": "20"}
        try:
            url, _ = await site.model_server(*MODEL)
            worker = await site.worker(url, bootstrap=proxy.address, **flags)
            async with Reader(site.rig) as reader:
                for number in range(ROUNDS):
                    produced = EACH * (number + 1)
                    await site.rig.produce(questions(produced)[-EACH:])
                    await reader.until(produced - EACH + chance.randrange(EACH // 2))
                    await asyncio.wait_for(proxy.swallow(END_TXN), 30)
                    if then == "rebalanced":
                        joining = asyncio.create_task(site.worker(url, **flags))
                    long = number == 1 and then != "killed"
                    await asyncio.sleep(LONGEST if long else chance.uniform(0.1, 2))
                    if then == "killed":
                        await worker.kill()
                    await proxy.heal()
                    if then == "killed":
                        worker = await site.worker(url, bootstrap=proxy.address, **flags)
                    await reader.until(produced)
                    if then == "rebalanced":
                        assert await (await joining).terminate() == 0
                await site.rig.all_committed(60)
                await asyncio.sleep(1)
                reader.all_there(produced, "exactly-once")
            print(
                f"{then}: {produced} tasks, {ROUNDS} times without answers, among them those to "
                f"{proxy.unanswered[END_TXN]} ends of transactions; {len(site.seen.calls) - produced} calls made again"
            )
            assert proxy.unanswered[END_TXN] >= ROUNDS
            assert await worker.terminate() == 0
            assert not any("Traceback" in line for process in site.processes for line in process.lines)
        finally:
            await site.close()
