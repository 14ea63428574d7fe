"""A task that takes its worker down: found, put aside, and nobody else pays for it."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.processes import DELIVERIES, Site

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(300)]

MODULE = '''
"""Adds numbers; one of them ends the process."""
import asyncio, os
from streamer import Topology

topology = Topology(name=os.environ["NAME"], input="tasks", output="results", concurrency=50)

@topology.function
async def add(number: int, wait: float = 0.0) -> int:
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(f"{number}\\n")
    if number == 13:
        await asyncio.sleep(float(os.environ["FUSE"]))
        os._exit(134)
    await asyncio.sleep(wait)
    return number
'''


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize(("fuse", "wait"), [(0.0, 0.01), (0.2, 0.5)])
async def test_poison_is_a_dead_letter_after_three_crashes_alone(
    site: Site, tmp_path: Path, delivery, fuse, wait
):
    """Suspects run alone after a crash; all others are answered, and hardly any of them twice."""
    module, calls = tmp_path / "poison.py", tmp_path / "calls"
    module.write_text(MODULE)
    calls.touch()
    await site.rig.produce(
        {"id": f"t{n}", "kind": "function", "name": "add", "arguments": {"number": n, "wait": wait}}
        for n in range(40)
    )
    crashes = 0
    while True:
        worker = await site.worker(
            "",
            module=str(module),
            sign="",
            delivery=delivery,
            CALLS=str(calls),
            FUSE=str(fuse),
            NAME=site.rig.name,
            STREAMER_GROUP_INSTANCE_ID="only",
        )
        done = asyncio.create_task(site.rig.read(39, seconds=60))
        died = asyncio.create_task(worker.process.wait())
        await asyncio.wait({done, died}, return_when=asyncio.FIRST_COMPLETED)
        if done.done() and calls.read_text().split().count("13") >= 4:
            letters = asyncio.create_task(site.rig.read(1, topic=site.rig.dead_letters, seconds=60))
            await asyncio.wait({letters, died}, return_when=asyncio.FIRST_COMPLETED)
            if letters.done():
                died.cancel()
                break
        await died
        done.cancel()
        crashes += 1
        assert crashes < 10
    (letter,) = letters.result()
    results = await site.rig.read(39, settle=1.0)
    await site.rig.all_committed()
    assert await worker.terminate() == 0
    made = Counter(int(number) for number in calls.read_text().split())
    print(f"{crashes} crashes, {sum(made.values()) - 40} calls made again")
    assert letter.headers["streamer-dead-letter-reason"] == b"poison"
    assert letter.headers["streamer-task-id"] == b"t13"
    assert {result.value["task_id"] for result in results} == {f"t{n}" for n in range(40) if n != 13}
    if delivery == "exactly-once":
        assert len(results) == 39
    assert 4 <= made[13] == crashes
