"""Deletes the part of the journals that no restore will read again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError

from streamer.kafka.connection import Connection
from streamer.kafka.partition import Partition
from streamer.kafka.topics import Unreachable, open_admin

EVERY = 60.0


def committed(partitions: Iterable[Partition]) -> dict[int, int]:
    """The low waters of commits that the broker has acknowledged, by partition: below them nobody will read."""
    known = (
        (partition.number, partition.checkpoint.low_water) for partition in partitions if partition.is_open
    )
    return {number: low_water for number, low_water in known if low_water is not None}


class Truncation:
    """Deletes up to the low waters, now and then, in the background.

    Invariant: nothing at or above a low water that the broker has acknowledged in a commit is deleted.
    """

    def __init__(
        self, connection: Connection, topic: str, warn: Callable[[str], None], every: float = EVERY
    ) -> None:
        self.connection = connection
        self.topic = topic
        self.warn = warn
        self.every = every
        self.loop = asyncio.get_running_loop()
        self.due = self.loop.time() + every
        self.deleted: dict[int, int] = {}
        self.told = False
        self.under_way: asyncio.Task[None] | None = None

    def tick(self, low_waters: Callable[[], Mapping[int, int]]) -> None:
        """Begin if it is time: ``low_waters`` gives the low waters of acknowledged commits, by partition."""
        if self.loop.time() < self.due or (self.under_way is not None and not self.under_way.done()):
            return
        self.due = self.loop.time() + self.every
        moved = {n: to for n, to in low_waters().items() if to > self.deleted.get(n, 0)}
        if moved:
            self.under_way = self.loop.create_task(self.delete(moved))

    async def delete(self, low_waters: Mapping[int, int]) -> None:
        """Delete what is below them; that it can't be done is told once, for retention does it too."""
        try:
            admin = await open_admin(self.connection)
        except (KafkaError, Unreachable, OSError, TimeoutError) as error:
            self.complain(error)
            return
        try:
            for number, to in low_waters.items():
                try:
                    await admin.delete_records({TopicPartition(self.topic, number): RecordsToDelete(to)})
                    self.deleted[number] = to
                except (KafkaError, OSError, TimeoutError) as error:
                    self.complain(error)
        finally:
            await admin.close()

    def complain(self, error: Exception) -> None:
        if not self.told:
            self.told = True
            self.warn(
                f"Topic {self.topic!r} can't be shortened ({type(error).__name__}: {error}); it keeps what its "
                "retention.ms says. To let it, grant Delete on the topic; this is said once."
            )

    def close(self) -> None:
        """Leave it as it is."""
        if self.under_way is not None:
            self.under_way.cancel()
