"""A new owner of partitions reads what their journals remember."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from streamer.kafka import adapter
from streamer.kafka.journal.channel import Channel
from streamer.kafka.journal.reading import Owned, Reading
from streamer.kafka.journal.writer import JournalWriter
from streamer.kafka.producing import stop

POLL_MS = 200
STOP_WITHIN = 5.0


async def restore(
    make_consumer: Callable[[], AIOKafkaConsumer],
    writer: JournalWriter,
    owned: Mapping[int, Owned],
    warn: Callable[[str], None],
) -> dict[int, Channel]:
    """Write the new owner's markers, and read up to them; the channels, by partition.

    ``make_consumer`` makes one without a group. When this is cancelled or raises, nothing is open.
    """
    channels = {
        number: writer.open(number, one.nonce, one.origin, one.after) for number, one in owned.items()
    }
    try:
        await asyncio.gather(*(channel.settle(0) for channel in channels.values()))
        consumer = make_consumer()
        try:
            await consumer.start()
            await read(consumer, writer.topic, {n: (channels[n], one) for n, one in owned.items()}, warn)
        finally:
            await stop(consumer, STOP_WITHIN)
    except BaseException:
        for channel in channels.values():
            writer.release(channel)
        raise
    return channels


async def read(
    consumer: AIOKafkaConsumer,
    topic: str,
    partitions: Mapping[int, tuple[Channel, Owned]],
    warn: Callable[[str], None],
) -> None:
    """Read them all, each up to its marker."""
    tps = {TopicPartition(topic, number): pair for number, pair in partitions.items()}
    beginnings = await consumer.beginning_offsets(list(tps))
    readings = {tp: Reading(channel.log, one, beginnings[tp]) for tp, (channel, one) in tps.items()}
    consumer.assign(list(tps))
    for tp, reading in readings.items():
        if reading.warning is not None:
            warn(f"{tp.topic}-{tp.partition}: {reading.warning}.")
        consumer.seek(tp, reading.start)
    left = dict(readings)
    while left:
        for tp, records in (await consumer.getmany(*left, timeout_ms=POLL_MS)).items():
            for record in records:
                left[tp].read(record.offset, record.value)
        for tp in list(left):  # positions are read without records too: control records move them
            position = adapter.position(consumer, tp)
            if position is not None and position > left[tp].marker:
                del left[tp]
    for tp, reading in readings.items():
        reading.close()
        if reading.unreadable:
            warn(
                f"{tp.topic}-{tp.partition}: {reading.unreadable} records of the journal can't be read by this "
                "version and were passed over; the steps that they are of may be paid again."
            )
