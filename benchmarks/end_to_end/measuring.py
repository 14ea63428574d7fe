"""One peer, once: started, watched from outside until all is answered, stopped, and its results judged."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from aiokafka import ConsumerRecord
from msgspec import Struct

from benchmarks.end_to_end.peers import Process, Wiring, command
from benchmarks.end_to_end.scenarios import Scenario, ideal, prompt, task_id
from benchmarks.end_to_end.topics import Topics
from streamer.results import Result, Status

LOOK_EVERY = 0.02
STALLED = 60.0
SETTLE = 0.5
STEADY = (0.1, 0.9)
"""The share of the results between which CPU time is measured."""
TIMES = frozenset({"received_at", "started_at", "finished_at", "queue_time", "duration"})


class Judgement(Struct, kw_only=True):
    """What became of the tasks, by the output topic; all of the first six are to be 0."""

    missing: int = 0
    duplicates: int = 0
    unexpected: int = 0
    not_succeeded: int = 0
    wrong_value: int = 0
    wrong_key_or_headers: int = 0
    uncommitted: int = 0
    """Input records that the group had not committed when the peer had ended."""
    seconds: float = 0.0
    """From the first result's arrival at the broker to the last one's."""
    began: float = 0.0
    """When the first task was received, on the peer's clock, in seconds since the epoch."""
    arrivals: list[float] = []
    """When each result arrived, on the broker's clock."""
    peak_in_flight: int = 0
    example: str = ""
    """The first task's result without its times."""

    @property
    def right(self) -> bool:
        return not (
            self.missing
            or self.duplicates
            or self.unexpected
            or self.not_succeeded
            or self.wrong_value
            or self.wrong_key_or_headers
        )


class Row(Struct, kw_only=True):
    """One measurement, raw. Times are seconds, memory is bytes."""

    scenario: str
    peer: str
    round: int
    place: int
    """Its turn within the round."""
    messages: int
    ended: str
    """``done``, or what went wrong."""
    right: bool
    missing: int
    duplicates: int
    unexpected: int
    not_succeeded: int
    wrong_value: int
    wrong_key_or_headers: int
    uncommitted: int
    peak_in_flight: int
    start_up_seconds: float
    """From its start to its first result."""
    start_up_cpu_seconds: float
    counted: int
    """Results between the two looks at its CPU time."""
    cpu_seconds: float
    seconds: float
    messages_per_cpu_second: float
    messages_per_second: float
    peak_memory: int
    over_ideal_at_90: float | None
    over_ideal_at_100: float | None
    load_before: float
    """The machine's load average (one minute) when it began."""
    example: str


async def measure(
    topics: Topics, scenario: Scenario, peer: str, count: int, tasks: str, number: int, place: int
) -> Row:
    """Run ``peer`` on the preloaded topic ``tasks``, with an output topic and a group of its own."""
    name = f"bench-{scenario.name}-{peer}-{uuid.uuid4().hex[:8]}".replace("_", "-")
    wiring = Wiring(topics.bootstrap_servers, tasks, f"{name}-output", name)
    await topics.create(wiring.output)
    load = os.getloadavg()[0]
    process = Process(command(peer, scenario, wiring), scenario.environment)
    try:
        looks, ended = await watch(topics, process, wiring.output, count)
        await asyncio.sleep(SETTLE)
        memory = process.peak_memory() if process.alive else 0
    finally:
        code = await asyncio.to_thread(process.stop)
    if ended != "done":
        ended = f"{ended} (exit code {code}): {process.tail()}"
    judgement = judge([record async for record in topics.read(wiring.output)], count)
    judgement.uncommitted = count - await topics.committed(wiring.group, tasks)
    await topics.delete([wiring.output])
    at_90, at_100 = over_ideal(scenario, judgement, count)
    first = looks[min(1, len(looks) - 1)]
    begin, end = steady(looks, count)
    counted, cpu = end.results - begin.results, end.cpu_seconds - begin.cpu_seconds
    return Row(
        scenario=scenario.name,
        peer=peer,
        round=number,
        place=place,
        messages=count,
        ended=ended,
        **{name: getattr(judgement, name) for name in JUDGED},
        start_up_seconds=first.time - process.started,
        start_up_cpu_seconds=first.cpu_seconds,
        counted=counted,
        cpu_seconds=cpu,
        seconds=judgement.seconds,
        messages_per_cpu_second=counted / cpu if cpu else 0.0,
        messages_per_second=(count - 1) / judgement.seconds if judgement.seconds else 0.0,
        peak_memory=memory,
        over_ideal_at_90=at_90,
        over_ideal_at_100=at_100,
        load_before=load,
    )


JUDGED = (
    *("right", "missing", "duplicates", "unexpected", "not_succeeded", "wrong_value", "wrong_key_or_headers"),
    *("uncommitted", "peak_in_flight", "example"),
)


class Look(NamedTuple):
    """What is seen of a peer from outside."""

    time: float
    results: int
    cpu_seconds: float


async def watch(topics: Topics, process: Process, output: str, count: int) -> tuple[list[Look], str]:
    """Looks from its start until all results are out, and how it ended."""
    looks = [Look(process.started, 0, 0.0)]
    moved = time.monotonic()
    while True:
        if not process.alive:
            return looks, "died"
        look = Look(time.monotonic(), await topics.count(output), process.cpu_seconds())
        if look.results > looks[-1].results:
            moved = look.time
            looks.append(look)
        if look.results >= count:
            return looks, "done"
        if look.time - moved > STALLED:
            return looks, "stalled"
        await asyncio.sleep(LOOK_EVERY)


def steady(looks: list[Look], count: int) -> tuple[Look, Look]:
    """The ends of the stretch in which a peer's queues are as full at the end as at the beginning.

    From the first result to the last one they are not: what was in hand at the first was paid for before it.
    """
    begin = next((look for look in looks if look.results >= STEADY[0] * count), looks[0])
    end = next((look for look in reversed(looks) if look.results <= STEADY[1] * count), looks[-1])
    return (begin, end) if end.results > begin.results else (looks[min(1, len(looks) - 1)], looks[-1])


def judge(records: Iterable[ConsumerRecord], count: int) -> Judgement:
    """Every id exactly once, each succeeded, with the right value, key and headers."""
    decoder = msgspec.json.Decoder(Result)
    seen: Counter[str] = Counter()
    found = Judgement()
    expected = {task_id(index): prompt(index) for index in range(count)}
    arrivals = []
    changes: list[tuple[float, int]] = []
    began = float("inf")
    for record in records:
        result = decoder.decode(record.value)
        seen[result.task_id] += 1
        arrivals.append(record.timestamp / 1000)
        found.not_succeeded += result.status is not Status.SUCCEEDED
        found.wrong_value += result.value != expected.get(result.task_id)
        headers = {
            "streamer-task-id": result.task_id.encode(),
            "streamer-status": result.status.encode(),
            "content-type": b"application/json",
        }
        found.wrong_key_or_headers += (
            record.key != result.task_id.encode()
            or len(record.headers) != 3
            or dict(record.headers) != headers
        )
        began = min(began, result.received_at.timestamp())
        changes += (result.started_at.timestamp(), 1), (result.finished_at.timestamp(), -1)
        if result.task_id == task_id(0):
            found.example = without_times(record.value)
    found.missing = sum(task not in seen for task in expected)
    found.unexpected = sum(task not in expected for task in seen)
    found.duplicates = seen.total() - len(seen)
    found.arrivals = sorted(arrivals)
    found.began = began
    if arrivals:
        found.seconds = found.arrivals[-1] - found.arrivals[0]
    changes.sort()
    in_flight = 0
    for _, change in changes:
        in_flight += change
        found.peak_in_flight = max(found.peak_in_flight, in_flight)
    return found


def over_ideal(scenario: Scenario, judgement: Judgement, count: int) -> tuple[float | None, float | None]:
    """Elapsed since the first task was received, over a perfect list scheduler's; at 90 and 100 % of the results."""
    if scenario.latencies is None or len(judgement.arrivals) < count:
        return None, None
    ends = ideal(scenario.latencies(count), scenario.concurrency)
    at = (-(-count * 9 // 10) - 1, count - 1)
    over = [(judgement.arrivals[index] - judgement.began) / ends[index] for index in at]
    return over[0], over[1]


def without_times(value: bytes) -> str:
    """A result's JSON with its clock readings replaced, to compare the peers' results."""

    def plain(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: "…" if name in TIMES else plain(found) for name, found in item.items()}
        return [plain(one) for one in item] if isinstance(item, list) else item

    return msgspec.json.encode(plain(msgspec.json.decode(value))).decode()
