"""X30: kill -9 in the middle and a restart: nothing lost, twice only where at-least-once says so, else once."""

import pytest

from tests.chaos.processes import DELIVERIES, Site, questions
from tests.chaos.reading import Reader

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

COUNT, CONCURRENCY = 300, 20
LATENCY = ("--latency", "uniform(0.1,0.2)", "--seed", "30")


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_x30_no_task_is_lost_and_each_takes_effect_as_often_as_its_mode_says(site: Site, delivery: str):
    """Judged by a reader of what is committed, and by the model server's own count of calls.

    What was called again was under way at the kill, or answered within the last moments before it.
    """
    url, log = await site.model_server(*LATENCY)
    flags = ("--concurrency", str(CONCURRENCY))
    worker = await site.worker(url, *flags, delivery=delivery)
    async with Reader(site.rig) as reader:
        await site.rig.produce(questions(COUNT))
        await reader.until(COUNT // 3)
        killed = await worker.kill()
        before = len(site.seen.answered)
        worker = await site.worker(url, *flags, delivery=delivery)
        await reader.until(COUNT)
        await site.rig.all_committed()
        assert await worker.terminate() == 0
        await reader.to_the_end()
    seen = site.seen
    print(
        f"{delivery}: {before} of {COUNT} calls were answered at the kill, {len(seen.repeated)} were made again, "
        f"{len(reader.repeated)} tasks have more than one result"
    )
    assert 0 < before < COUNT
    reader.all_there(COUNT, delivery)
    assert set(reader.statuses) == {"succeeded"}
    assert len(seen.answered) == COUNT
    assert seen.paid_again_without_excuse([(log, killed)]) == []
