"""Reads what a topic holds now, and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streamer.kafka import adapter
from streamer.kafka.connection import Connection
from streamer.kafka.topics import Unreachable, explained

TURN_MS = 200
PATIENCE = 30.0
"""Seconds without anything new after which the broker counts as gone: the client itself would wait for ever."""


@asynccontextmanager
async def reader(connection: Connection, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of what is committed. It joins no group; ``group`` is whose offsets it can look up."""
    consumer = AIOKafkaConsumer(
        **connection.client("streamer-dead-letters"),
        group_id=group,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="none",
        max_poll_interval_ms=24 * 3_600_000,
    )
    try:
        try:
            await consumer.start()
        except OSError as error:
            raise Unreachable(explained(connection, error)) from error
        yield consumer
    except KafkaError as error:
        raise Unreachable(explained(connection, error)) from error
    finally:
        await consumer.stop()


async def extent(
    consumer: AIOKafkaConsumer, topic: str, partitions: int
) -> dict[TopicPartition, tuple[int, int]]:
    """Where each partition begins, and where it ends now for those who read what is committed."""
    tps = [TopicPartition(topic, number) for number in range(partitions)]
    begins = await consumer.beginning_offsets(tps)
    ends = await consumer.end_offsets(tps)
    return {tp: (begins[tp], ends[tp]) for tp in tps}


async def records(
    consumer: AIOKafkaConsumer, stretches: Mapping[TopicPartition, tuple[int, int]]
) -> AsyncIterator[Any]:
    """The records of each partition from the first offset up to, and without, the second."""
    left = {tp: end for tp, (start, end) in stretches.items() if start < end}
    consumer.assign(list(left))
    for tp in left:
        adapter.seek(consumer, tp, stretches[tp][0])
    loop = asyncio.get_running_loop()
    last = loop.time()
    places: dict[TopicPartition, int | None] = {}
    while left:
        polled = await consumer.getmany(*left, timeout_ms=TURN_MS)
        for tp, messages in polled.items():
            for message in messages:
                if message.offset < left[tp]:
                    yield message
        now = {tp: adapter.position(consumer, tp) for tp in left}
        if now != places:
            places, last = now, loop.time()
        elif loop.time() - last > PATIENCE:
            raise Unreachable(f"The broker has not answered for {PATIENCE:g} s.")
        left = {tp: end for tp, end in left.items() if (now[tp] or 0) < end}


async def record_at(consumer: AIOKafkaConsumer, topic: str, partition: int, offset: int) -> Any | None:
    """The record at that very offset; None where there is none, or no longer."""
    tp = TopicPartition(topic, partition)
    begins, ends = await consumer.beginning_offsets([tp]), await consumer.end_offsets([tp])
    if not begins[tp] <= offset < ends[tp]:
        return None
    async for record in records(consumer, {tp: (offset, offset + 1)}):
        return record
    return None
