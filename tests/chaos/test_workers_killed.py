"""Workers that end, politely or not: judged by what the model servers saw and a reader of the output."""

import asyncio
import random
from collections import Counter

import pytest

from tests.chaos.processes import ROUNDS, Site, questions

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(600)]

LATENCY = ("--latency", "lognormal(0.3,0.5)", "--seed", "7")


async def test_sigterm_and_a_restart_repeat_no_call(site: Site):
    """Every id once, every call once, though the worker was told to end in the middle, twice."""
    url, _ = await site.model_server(*LATENCY)
    worker = await site.worker(url)
    await site.rig.produce(questions(2_000))
    for part in (400, 1_000):
        await site.rig.read(part)
        assert await worker.terminate() == 0
        worker = await site.worker(url)
    results = await site.rig.read(2_000, settle=1.0)
    await site.rig.all_committed()
    assert await worker.terminate() == 0
    assert Counter(result.value["task_id"] for result in results) == Counter(f"t{n}" for n in range(2_000))
    assert site.seen.repeated == set()


async def test_kill_nine_loses_nothing_and_repeats_only_what_was_in_flight(site: Site):
    """Two workers, killed in turn: what is called again was under way, or answered within 500 ms of the kill."""
    chance = random.Random(11)
    count = 1_000 + 800 * ROUNDS
    servers = [await site.model_server(*LATENCY) for _ in range(2)]
    workers = [await site.worker(url) for url, _ in servers]
    await site.rig.produce(questions(count))
    kills = []
    for number in range(ROUNDS):
        await asyncio.sleep(chance.uniform(1, 3))
        victim = number % 2
        kills.append((servers[victim][1], await workers[victim].kill()))
        workers[victim] = await site.worker(servers[victim][0])
    results = await site.rig.read(count, seconds=180, settle=2.0)
    await site.rig.all_committed()
    for worker in workers:
        assert await worker.terminate() == 0
    seen = site.seen
    ids = {result.value["task_id"] for result in results}
    assert ids == {f"t{number}" for number in range(count)}
    assert seen.paid_again_without_excuse(kills) == []
    print(
        f"{count} tasks, {ROUNDS} kills: {len(results)} results, "
        f"{sum(map(len, seen.received.values())) - count} calls made again, "
        f"{sum(len(t) - 1 for t in seen.answered.values() if len(t) > 1)} of them had been answered"
    )
