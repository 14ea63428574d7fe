"""A worker that is frozen past its session, and thawed when another has done its work."""

import asyncio
import signal
from collections import Counter

import pytest

from tests.chaos.processes import DELIVERIES, ON_ITS_WAY, ROUNDS, SESSION, Site, question, questions
from tests.chaos.reading import Reader

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(300)]

BEFORE, AFTER = 2_000, 1_000
SLOTS = 100
LAG = 1.0
"""Seconds that a busy machine may take from an answer to its commit."""
PACE = 40
"""Tasks a second that keep coming."""
LATENCY = ("--latency", "lognormal(0.3,0.5)", "--seed", "3")


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_zombie_publishes_at_most_what_it_had_in_flight(site: Site, delivery):
    """Nothing is lost, nothing else is repeated, it joins again and works; exactly-once, nobody sees its results."""
    servers = [await site.model_server(*LATENCY) for _ in range(2)]
    workers = [await site.worker(url, delivery=delivery) for url, _ in servers]
    zombie, log = workers[0], servers[0][1]
    async with Reader(site.rig) as reader:
        await site.rig.produce(questions(BEFORE))
        await reader.until(400)
        frozen = zombie.signal(signal.SIGSTOP)
        await asyncio.sleep(2 * SESSION)
        await reader.until(BEFORE)
        await site.rig.all_committed()
        before = Counter(reader.ids)
        in_flight = {
            f"t{number_of(prompt)}"
            for where, prompt, _, answered in site.seen.calls
            if where == log and (answered is None or answered >= frozen - LAG)
        }  # frozen it made none: what was received since was on its way
        thawed = zombie.signal(signal.SIGCONT)
        await asyncio.sleep(SESSION)
        published = Counter(reader.ids) - before
        begun = {f"t{number_of(prompt)}" for _, prompt, received, _ in site.seen.calls if received > thawed}
        held = sum(
            where == log and received <= thawed and (answered is None or answered >= frozen)
            for where, _, received, answered in site.seen.calls
        )
        await site.rig.produce(questions(BEFORE + AFTER)[BEFORE:])
        await reader.until(BEFORE + AFTER)
        await site.rig.all_committed()
        await asyncio.sleep(1)
    print(
        f"thawed it published {published.total()} results of tasks that the other had answered, "
        f"made {len(begun)} calls for such tasks in {SLOTS} slots, {held} of which were taken, and had {len(in_flight)} in flight when it was frozen"
    )
    reader.all_there(BEFORE + AFTER, delivery)
    # Nothing begins before the group has heard of it again; what had begun, and was not sent, still is.
    assert len(begun) <= SLOTS - held
    assert reader.repeated <= in_flight
    assert delivery != "exactly-once" or not published
    assert any(where == log and number_of(prompt) >= BEFORE for where, prompt, _, _ in site.seen.calls)
    for worker in workers:
        assert await worker.terminate() == 0


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_zombie_pays_for_no_step_that_another_has_paid_for(site: Site, delivery):
    """Tasks of many steps, half way through: thawed it calls nothing that was answered, and the results say what was."""
    servers = [await site.model_server("--latency", "1") for _ in range(2)]
    workers = [await site.worker(url, delivery=delivery) for url, _ in servers]
    log = servers[0][1]
    tasks = [in_steps(number) for number in range(SLOTS)]
    async with Reader(site.rig) as reader:
        await site.rig.produce(tasks)
        await asyncio.sleep(2.5)
        frozen = workers[0].signal(signal.SIGSTOP)
        await asyncio.sleep(2 * SESSION)
        thawed = workers[0].signal(signal.SIGCONT)
        await reader.until(len(tasks))
        await site.rig.all_committed()
        await asyncio.sleep(1)
    reader.all_there(len(tasks), delivery)
    calls = site.seen.calls
    others = {prompt: answered for where, prompt, _, answered in calls if where != log and answered}
    # What had begun when it was frozen, and was not sent, still is.
    begun = {
        step_after(prompt)
        for where, prompt, _, answered in calls
        if where == log and answered is not None and frozen - ON_ITS_WAY <= answered <= frozen
    }
    wasted = [
        prompt
        for where, prompt, received, _ in calls
        if where == log
        and received > thawed
        and others.get(prompt, received) < received - LAG
        and prompt not in begun
    ]
    again: Counter[int] = Counter()
    for prompt, times in site.seen.received.items():
        again[number_of(prompt)] += len(times) - 1
    said = {int(task_id[1:]): most for task_id, most in reader.possible_duplicate_calls.items()}
    print(
        f"{again.total()} calls made again, the results say {sum(said.values())} at most; {len(wasted)} were wasted, "
        f"of {len(begun)} nobody knows whether they had begun"
    )
    assert wasted == []
    assert {number: many for number, many in again.items() if many > said.get(number, 0)} == {}
    for worker in workers:
        assert await worker.terminate() == 0


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_zombie_that_finds_its_group_empty_turns_nothing_back(site: Site, delivery):
    """The other has answered everything and left: what it committed stands, and none of it is called again."""
    servers = [await site.model_server(*LATENCY) for _ in range(2)]
    zombie, other = [await site.worker(url, delivery=delivery) for url, _ in servers]
    async with Reader(site.rig) as reader:
        await site.rig.produce(questions(BEFORE))
        await reader.until(400)
        zombie.signal(signal.SIGSTOP)
        await asyncio.sleep(2 * SESSION)
        await reader.until(BEFORE)
        await site.rig.all_committed()
        assert await other.terminate() == 0
        ends = await site.rig.ends()
        thawed = zombie.signal(signal.SIGCONT)
        lowest = ends
        for _ in range(int(2 * SESSION)):
            await asyncio.sleep(0.5)
            found = await site.rig.committed()
            lowest = {number: min(at, found[number][0]) for number, at in lowest.items()}
        await site.rig.produce(questions(BEFORE + AFTER)[BEFORE:])
        await reader.until(BEFORE + AFTER)
        await site.rig.all_committed()
        await asyncio.sleep(1)
    again = [prompt for _, prompt, at, _ in site.seen.calls if at > thawed and number_of(prompt) < BEFORE]
    print(f"{len(again)} calls made again; all was committed up to {ends}, at the lowest afterwards {lowest}")
    reader.all_there(BEFORE + AFTER, delivery)
    assert await zombie.terminate() == 0
    assert lowest == ends
    assert len(again) <= SLOTS


@pytest.mark.parametrize("delivery", DELIVERIES if ROUNDS > 2 else ["exactly-once"])
async def test_a_worker_that_is_frozen_again_and_again_while_tasks_keep_coming_gets_stuck_nowhere(
    site: Site, delivery
):
    """In turn, each time with transactions and calls under way: every task is answered without another rebalance."""
    servers = [await site.model_server(*LATENCY) for _ in range(2)]
    workers = [await site.worker(url, delivery=delivery) for url, _ in servers]
    count = PACE * ROUNDS * int(2 * SESSION)
    async with Reader(site.rig) as reader:
        producing = asyncio.create_task(spread(site, questions(count)))
        for number in range(ROUNDS):
            await asyncio.sleep(SESSION / 2)
            workers[number % 2].signal(signal.SIGSTOP)
            await asyncio.sleep(1.3 * SESSION)
            workers[number % 2].signal(signal.SIGCONT)
        await producing
        await reader.until(count)
        await site.rig.all_committed()
        await asyncio.sleep(1)
    reader.all_there(count, delivery)
    for worker in workers:
        assert not any("Traceback" in line for line in worker.lines)
        assert await worker.terminate() == 0


async def spread(site: Site, tasks: list[dict]) -> None:
    """So many tasks a second."""
    for first in range(0, len(tasks), PACE // 2):
        await site.rig.produce(tasks[first : first + PACE // 2])
        await asyncio.sleep(0.5)


def in_steps(number: int) -> dict:
    """A task of eight paid steps, one after another."""
    steps = [question(number, prompt=f"question {number} step {step}") for step in range(8)]
    for step in steps:
        del step["id"]
    return {"id": f"t{number}", "kind": "sequence", "tasks": steps}


def step_after(prompt: str) -> str:
    """What its task asks next."""
    before, _, step = prompt.rpartition(" ")
    return f"{before} {int(step) + 1}"


def number_of(prompt: str) -> int:
    """The number of the task that asked it."""
    return int(prompt.split()[1])
