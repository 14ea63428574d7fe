"""A provider that receives calls and answers none."""

import asyncio
import signal

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from tests.chaos.processes import DELIVERIES, OUTAGE, SESSION, Site, questions
from tests.chaos.reading import Reader
from tests.chaos.resources import resident

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(300)]

COUNT, WARM = 12_000, 3_000
CONCURRENCY, OUTSTANDING = 100, 500
TAKEN, GROWTH = 40.0, 8.0
"""MB: what the input may take (all of it would take a hundred), and what may come to it while nothing moves."""


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_worker_whose_calls_all_hang_stays_and_waits(site: Site, delivery):
    """The same member for more than two sessions, in flat memory, with no more calls than slots; then all is answered."""
    url, _ = await site.model_server("--latency", "lognormal(0.05,0.5)", "--seed", "9")
    server = site.processes[0]
    flags = ("--concurrency", str(CONCURRENCY))
    worker = await site.worker(url, *flags, delivery=delivery, STREAMER_OUTSTANDING=str(OUTSTANDING))
    idle = resident(worker.process.pid)
    admin = AIOKafkaAdminClient(bootstrap_servers=site.rig.bootstrap)
    await admin.start()
    try:
        async with Reader(site.rig) as reader:
            await site.rig.produce(questions(COUNT, metadata={"more": "x" * 4_000}))
            await reader.until(WARM)
            server.signal(signal.SIGUSR1)
            await asyncio.sleep(1)
            answered = len(reader.ids)
            before, members = resident(worker.process.pid), {await member(admin, site.rig.name)}
            sizes, loop = [], asyncio.get_running_loop()
            end = loop.time() + max(OUTAGE, 2 * SESSION + 2)
            while loop.time() < end:
                await asyncio.sleep(1)
                members.add(await member(admin, site.rig.name))
                sizes.append(resident(worker.process.pid))
            seen = site.seen
            unanswered = sum(answered is None for *_, answered in seen.calls)
            server.signal(signal.SIGUSR2)
            still = len(reader.ids)
            await reader.until(COUNT)
            await site.rig.all_committed()
            reader.all_there(COUNT, delivery)
    finally:
        await admin.close()
    print(
        f"{idle:.1f} MB idle, {before:.1f} MB before, {min(sizes):.1f} to {max(sizes):.1f} MB while {unanswered} calls hung"
    )
    assert still == answered
    assert len(members) == 1
    assert unanswered == CONCURRENCY
    assert max(sizes) - idle < TAKEN
    assert max(sizes) - before < GROWTH
    assert reader.statuses == {"succeeded": COUNT}
    assert site.seen.repeated == set()
    assert await worker.terminate() == 0


async def member(admin: AIOKafkaAdminClient, group: str) -> str:
    """The id of the one member of a group that is stable."""
    (response,) = await admin.describe_consumer_groups([group])
    ((_, _, state, _, _, members, *_),) = response.groups
    assert state == "Stable"
    ((name, *_),) = members
    return name
