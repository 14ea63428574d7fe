"""A read-committed reader of the output, there all the time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.kafka.rig import Rig


class Reader:
    """Counts the results that consumers which read committed see: by task, and by status."""

    def __init__(self, rig: Rig) -> None:
        self.ids: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.possible_duplicate_calls: dict[str, int] = {}
        """What each result says, of several the most."""
        self.rig = rig
        self.topic = rig.output
        self.consumer = AIOKafkaConsumer(
            self.topic,
            bootstrap_servers=rig.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )

    async def __aenter__(self) -> Self:
        await self.consumer.start()
        self.reading = asyncio.create_task(self.read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.reading.cancel()
        await asyncio.wait((self.reading,))
        await self.consumer.stop()

    async def read(self) -> None:
        while True:
            for records in (await self.consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    result = json.loads(record.value)
                    self.ids[result["task_id"]] += 1
                    self.statuses[result["status"]] += 1
                    said = result.get("possible_duplicate_calls") or 0
                    most = self.possible_duplicate_calls.get(result["task_id"], 0)
                    self.possible_duplicate_calls[result["task_id"]] = max(said, most)

    async def until(self, count: int, seconds: float = 90) -> None:
        """Wait for the results of so many different tasks."""
        end = asyncio.get_running_loop().time() + seconds
        while len(self.ids) < count:
            if self.reading.done():
                self.reading.result()
            left = end - asyncio.get_running_loop().time()
            assert left > 0, f"{len(self.ids)} of {count} results in {self.topic} after {seconds:g} s"
            await asyncio.sleep(0.05)

    async def to_the_end(self) -> None:
        """Read all that is there by now, also of a transaction that was committed a moment ago."""
        for number, end in (await self.rig.ends(self.topic)).items():
            while await self.consumer.position(TopicPartition(self.topic, number)) < end:
                await asyncio.sleep(0.05)

    @property
    def repeated(self) -> set[str]:
        """The tasks with more than one result."""
        return {task for task, times in self.ids.items() if times > 1}

    def all_there(self, count: int, delivery: str) -> None:
        """Assert that tasks ``t0`` and on have their results: none lost, and exactly once if that is the mode."""
        assert set(self.ids) == {f"t{number}" for number in range(count)}
        if delivery == "exactly-once":
            assert self.repeated == set(), f"{len(self.repeated)} tasks with more than one result"
