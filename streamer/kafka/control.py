"""What is asked of all workers of a topology by ``NAME.control``, which each reads for itself."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streamer.decoding import codec
from streamer.kafka import adapter
from streamer.kafka.producing import stop
from streamer.kafka.topics import Wanted
from streamer.kafka.writing import content_type

REMEMBERED = 10_000
REMEMBERED_FOR = 3_600.0
POLL_MS = 1_000
CAUGHT_UP_WITHIN = 5.0
AGAIN_AFTER = 5.0


def wanted(topology: str) -> Wanted:
    """The topic of a topology."""
    config = {"cleanup.policy": "delete", "retention.ms": str(86_400_000)}
    return Wanted(f"{topology}.control", 1, config, "control")


class Cancelled:
    """The ids that were cancelled lately: whoever has a task of one of them, now or soon, is not to run it.

    Invariants: it holds ``REMEMBERED`` ids at most, the latest; each for ``REMEMBERED_FOR`` seconds after it was
    cancelled. Times are seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self.at)

    def __contains__(self, task_id: object) -> bool:
        at = self.at.get(task_id)  # type: ignore[call-overload]
        return at is not None and self.clock() < at + REMEMBERED_FOR

    def add(self, task_id: str, at: float) -> None:
        """It was cancelled then."""
        self.at[task_id] = at
        self.at.move_to_end(task_id)
        if len(self.at) > REMEMBERED:
            self.at.popitem(last=False)


class Control:
    """Reads the topic as long as the worker runs, by a consumer of no group, from an hour ago on.

    So a task that was cancelled is also known to be by a worker that gets it later. ``cancel`` ends the tasks of an
    id that run now. What can't be read, or is not known here, is warned of once of its sort, and changes nothing.
    """

    def __init__(
        self,
        make_consumer: Callable[[], AIOKafkaConsumer],
        topic: str,
        cancel: Callable[[str], object],
        warn: Callable[[str], None],
    ) -> None:
        self.consumer = make_consumer()
        self.topic = topic
        self.cancel = cancel
        self.warn = warn
        self.cancelled = Cancelled()
        self.said: set[str] = set()
        self.caught_up = asyncio.Event()
        self.running: asyncio.Task[None] | None = None

    async def start(self, partitions: int) -> None:
        """Connect, and learn what was cancelled before; a topic that is slow to say so is not waited for."""
        await self.consumer.start()
        places = [TopicPartition(self.topic, number) for number in range(partitions)]
        self.consumer.assign(places)
        self.running = asyncio.get_running_loop().create_task(self.run(places))
        with suppress(TimeoutError):
            await asyncio.wait_for(self.caught_up.wait(), CAUGHT_UP_WITHIN)

    async def run(self, places: list[TopicPartition]) -> None:
        """Read until closed."""
        ends: dict[TopicPartition, int] | None = None
        while True:
            try:
                if ends is None:
                    ends = await self.begin(places)
                if all((adapter.position(self.consumer, tp) or 0) >= end for tp, end in ends.items()):
                    self.caught_up.set()
                polled = await self.consumer.getmany(timeout_ms=POLL_MS)
            except KafkaError as error:
                self.complain(
                    "unreadable",
                    f"Topic {self.topic} can't be read ({type(error).__name__}): until it can, nothing is cancelled.",
                )
                await asyncio.sleep(AGAIN_AFTER)
                continue
            for messages in polled.values():
                for message in messages:
                    self.take(message)

    async def begin(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Go to where it was an hour ago; where the topic ends now."""
        ends: dict[TopicPartition, int] = await self.consumer.end_offsets(places)
        since = int((time.time() - REMEMBERED_FOR) * 1000)
        found = await self.consumer.offsets_for_times(dict.fromkeys(places, since))
        for tp in places:
            earliest = found.get(tp)
            adapter.seek(self.consumer, tp, ends[tp] if earliest is None else earliest.offset)
        return ends

    def take(self, message: Any) -> None:
        """One command."""
        place = f"{message.topic}-{message.partition}-{message.offset}"
        try:
            found = codec(content_type(message)).decode(message.value or b"")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self.complain("malformed", f'{place} is no command; one is {{"cancel": TASK_ID}}, as JSON.')
        elif "cancel" not in found:
            known = msgspec.json.encode(sorted(map(str, found)))[:200].decode()
            self.complain("unknown", f"{place} is a command that this version does not know: {known}.")
        elif not isinstance(found["cancel"], str):
            self.complain("malformed", f"{place} is no command: the id to cancel is a text.")
        else:
            self.cancelled.add(found["cancel"], message.timestamp / 1000)
            self.cancel(found["cancel"])

    def complain(self, sort: str, sentence: str) -> None:
        if sort not in self.said:
            self.said.add(sort)
            self.warn(f"{sentence} Further ones of this sort are passed over in silence.")

    async def close(self, seconds: float) -> None:
        """Disconnect, bounded in time."""
        if self.running is not None:
            self.running.cancel()
        await stop(self.consumer, seconds)
