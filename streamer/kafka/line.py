"""One input partition's way out in exactly-once mode: what waits for it, and what is in its one transaction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aiokafka import AIOKafkaProducer, TopicPartition

from streamer.kafka.commit import Commit
from streamer.kafka.outlet import Outgoing
from streamer.kafka.partition import Partition
from streamer.kafka.record import Record
from streamer.kafka.transactional import Transactional

Waiting = tuple[str, Outgoing]


class Line:
    """Has one transaction at a time.

    Invariants: an outgoing is in ``waiting`` or in ``sent``, never in both; what is in ``sent`` goes back to the
    front, or was committed.
    """

    def __init__(
        self, group: str, topic: str, number: int, output: str, make: Callable[[str], AIOKafkaProducer]
    ) -> None:
        self.place = f"{output} ({topic}-{number})"
        """What it is called in sentences."""
        self.transactional = Transactional(f"{group}-{topic}-{number}", make)
        self.waiting: deque[Waiting] = deque()
        self.sent: list[Waiting] = []
        self.commit: Commit | None = None
        self.asked = False
        """The end of the transaction was asked for: whether it came about is for the broker to say."""
        self.one_by_one = 0
        self.refusing = ""
        """The topic that did not take what it got."""
        self.not_before = 0.0
        self.task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self.task is not None and not self.task.done()

    @property
    def records(self) -> list[Record]:
        """Those in the transaction."""
        return [outgoing.record for _, outgoing in self.sent]

    def take(self, partition: Partition, most: int) -> list[Record]:
        """Take what is to be written now, at most so many; returns what is no longer ours to answer."""
        dropped: list[Record] = []
        taken: list[Waiting] = []
        most = 1 if self.one_by_one else most
        while self.waiting and len(taken) < most:
            waiting = self.waiting.popleft()
            record = waiting[1].record
            if record.partition is partition and partition.publish(record):
                taken.append(waiting)
            else:
                dropped.append(record)
        self.one_by_one = max(0, self.one_by_one - len(taken))
        self.sent = taken
        return dropped

    def batches(self, place: Callable[[str, Outgoing], int]) -> dict[TopicPartition, list[Outgoing]]:
        """What was taken, by output partition."""
        found: dict[TopicPartition, list[Outgoing]] = {}
        for topic, outgoing in self.sent:
            found.setdefault(TopicPartition(topic, place(topic, outgoing)), []).append(outgoing)
            if outgoing.also is not None:
                topic, also = outgoing.also
                found.setdefault(TopicPartition(topic, place(topic, also)), []).append(also)
        return found

    def refused_by(self, topic: str) -> None:
        self.refusing = topic

    def put_back(self, partition: Partition) -> list[Record]:
        """None of it counts: it is to be sent again, before all else; returns what is no longer ours to answer."""
        back, self.sent = self.sent, []
        dropped: list[Record] = []
        for waiting in reversed(back):
            if partition.refuse(waiting[1].record):
                self.waiting.appendleft(waiting)
            else:
                dropped.append(waiting[1].record)
        return dropped

    def sift(self) -> list[Record]:
        """Keep what still is ours to answer; returns the rest."""
        gone = [outgoing.record for _, outgoing in self.waiting if not outgoing.record.partition.alive]
        if gone:
            kept = [waiting for waiting in self.waiting if waiting[1].record.partition.alive]
            self.waiting.clear()
            self.waiting.extend(kept)
        return gone
