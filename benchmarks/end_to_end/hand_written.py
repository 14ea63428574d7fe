"""The floor: what a good engineer would write by hand with aiokafka for one worker and one kind of task.

Its contract is fixed, so that the floor does not sink: a pool of pull workers (not an asyncio task per message),
idempotent and acknowledged sends in one batch per output partition, what is outstanding bounded, and the frontier
committed every 200 ms. What it has not: holes, dead letters, key order, work kept through a rebalance, a broker
that refuses a batch, per-provider limits, scopes, events.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import deque

import msgspec
from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    TopicPartition,
)

from benchmarks.end_to_end.by_hand import Answer, monotonic
from benchmarks.end_to_end.options import Options, options
from streamer.results import Result
from streamer.tasks import Task

COMMIT_EVERY = 0.2
OUTSTANDING = 2_000
POLL = 256
BATCH_BYTES = 262_144


class Partition:
    """An input partition with its output partition: what is unfinished, what waits to be sent."""

    def __init__(self, tp: TopicPartition) -> None:
        self.tp = tp
        self.unfinished: dict[int, None] = {}
        self.position: int | None = None
        self.committed: int | None = None
        self.waiting: deque[tuple[int, bytes, bytes, list[tuple[str, bytes]]]] = deque()
        self.arrived = asyncio.Event()

    @property
    def frontier(self) -> int | None:
        return next(iter(self.unfinished), self.position)


class Loop(ConsumerRebalanceListener):  # type: ignore[misc]
    """Poll, work, send, commit: four kinds of asyncio tasks around one queue."""

    def __init__(self, settings: Options, answer: Answer) -> None:
        self.settings = settings
        self.answer = answer
        self.outstanding_limit = max(OUTSTANDING, 4 * settings.concurrency)
        self.outstanding = 0
        self.room = asyncio.Event()
        self.queue: asyncio.Queue[tuple[Partition, ConsumerRecord, float]] = asyncio.Queue(
            self.outstanding_limit
        )
        self.partitions: dict[TopicPartition, Partition] = {}
        self.senders: list[asyncio.Task[None]] = []
        self.decoder = msgspec.json.Decoder(Task)
        self.encoder = msgspec.json.Encoder()
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap_servers,
            group_id=settings.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
        )
        self.producer = AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap_servers,
            enable_idempotence=True,
            acks="all",
            max_batch_size=BATCH_BYTES,
        )

    async def run(self) -> None:
        await self.producer.start()
        await self.consumer.start()
        self.consumer.subscribe([self.settings.input], listener=self)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        tasks = [asyncio.create_task(work) for work in (self.poll(), self.commit_often(), stop.wait())]
        tasks += [asyncio.create_task(self.work()) for _ in range(self.settings.concurrency)]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks + self.senders:
            task.cancel()
        await self.commit()
        await self.consumer.stop()
        await self.producer.stop()
        for task in done:
            task.result()

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        self.partitions = {tp: Partition(tp) for tp in assigned}
        self.senders = [asyncio.create_task(self.send(partition)) for partition in self.partitions.values()]
        print("ready", file=sys.stderr, flush=True)

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        del revoked  # rebalances are eager: all of them are
        await self.commit()
        for sender in self.senders:
            sender.cancel()
        self.partitions = {}

    async def poll(self) -> None:
        while True:
            free = self.outstanding_limit - self.outstanding
            if free < POLL:
                self.room.clear()
                await self.room.wait()
                continue
            polled = await self.consumer.getmany(timeout_ms=200, max_records=min(free, POLL))
            received = monotonic()
            for tp, records in polled.items():
                partition = self.partitions[tp]
                unfinished, put = partition.unfinished, self.queue.put_nowait
                for record in records:
                    unfinished[record.offset] = None
                    put((partition, record, received))
                partition.position = records[-1].offset + 1
                self.outstanding += len(records)

    async def work(self) -> None:
        get, decode, answer, encode = self.queue.get, self.decoder.decode, self.answer, self.encoder.encode
        while True:
            partition, record, received = await get()
            result: Result = await answer(decode(record.value), received)
            task_id = result.task_id.encode()
            headers = [
                ("streamer-task-id", task_id),
                ("streamer-status", result.status.encode()),
                ("content-type", b"application/json"),
            ]
            key = task_id if record.key is None else record.key
            partition.waiting.append((record.offset, key, encode(result), headers))
            partition.arrived.set()

    async def send(self, partition: Partition) -> None:
        """Whatever has arrived meanwhile goes out with the next batch; an offset is finished once it is acknowledged."""
        waiting, number = partition.waiting, partition.tp.partition
        while True:
            await partition.arrived.wait()
            partition.arrived.clear()
            while waiting:
                batch = self.producer.create_batch()
                sent = []
                while waiting:
                    offset, key, value, headers = waiting[0]
                    if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                        break
                    waiting.popleft()
                    sent.append(offset)
                await (await self.producer.send_batch(batch, self.settings.output, partition=number))
                for offset in sent:
                    del partition.unfinished[offset]
                self.outstanding -= len(sent)
                self.room.set()

    async def commit_often(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY)
            await self.commit()

    async def commit(self) -> None:
        offsets = {
            partition.tp: partition.frontier
            for partition in self.partitions.values()
            if partition.frontier is not None and partition.frontier != partition.committed
        }
        if offsets:
            await self.consumer.commit(offsets)
            for tp, frontier in offsets.items():
                if tp in self.partitions:
                    self.partitions[tp].committed = frontier


async def main() -> None:
    settings = options(__doc__)
    await Loop(settings, settings.answer).run()


if __name__ == "__main__":
    asyncio.run(main())
