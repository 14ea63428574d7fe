"""The topics of a run: preloaded, counted while it runs, read and judged when it is over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

PARTITIONS = 4


class Topics:
    """One connection of each kind, used while nothing is measured, but for ``count``."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
        self.consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
        self.created: list[str] = []

    async def __aenter__(self) -> Topics:
        await self.admin.start()
        await self.consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.delete(list(self.created))
        await self.consumer.stop()
        await self.admin.close()

    async def create(self, *names: str) -> None:
        """Times are the broker's, so that a result's is that of its arrival."""
        configs = {"message.timestamp.type": "LogAppendTime"}
        topics = [
            NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, topic_configs=configs)
            for name in names
        ]
        response = await self.admin.create_topics(topics)
        for name, code, *rest in response.topic_errors:
            if code:
                raise SystemExit(f"Topic {name} could not be created: {rest[0] if rest else code}.")
        self.created += names

    async def delete(self, names: Iterable[str]) -> None:
        wanted = [name for name in names if name in self.created]
        if wanted:
            await self.admin.delete_topics(wanted)
            self.created = [name for name in self.created if name not in wanted]

    async def preload(self, topic: str, values: Sequence[bytes]) -> None:
        """Value ``i`` goes to partition ``i % 4``, without a key."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap_servers, enable_idempotence=True, max_batch_size=262_144
        )
        await producer.start()
        try:
            for number in range(PARTITIONS):
                mine = values[number::PARTITIONS]
                done = 0
                while done < len(mine):
                    batch = producer.create_batch()
                    while done < len(mine) and batch.append(timestamp=None, key=None, value=mine[done]):
                        done += 1
                    await (await producer.send_batch(batch, topic, partition=number))
        finally:
            await producer.stop()

    async def count(self, topic: str) -> int:
        """How many records are in it."""
        return sum((await self.consumer.end_offsets(partitions(topic))).values())

    async def committed(self, group: str, topic: str) -> int:
        """How many of the input's records the group has committed."""
        offsets = await self.admin.list_consumer_group_offsets(group)
        return sum(offset.offset for tp, offset in offsets.items() if tp.topic == topic and offset.offset > 0)

    async def read(self, topic: str) -> AsyncIterator[ConsumerRecord]:
        """All that is in it."""
        assigned = partitions(topic)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap_servers, max_partition_fetch_bytes=4_194_304
        )
        consumer.assign(assigned)
        await consumer.start()
        try:
            ends = await consumer.end_offsets(assigned)
            for tp in assigned:
                consumer.seek(tp, 0)
            left = {tp for tp, end in ends.items() if end}
            while left:
                for tp, records in (await consumer.getmany(*left, timeout_ms=1_000)).items():
                    for record in records:
                        yield record
                    if records[-1].offset + 1 >= ends[tp]:
                        left.discard(tp)
        finally:
            await consumer.stop()


def partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]
