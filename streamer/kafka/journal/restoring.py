"""A new owner of partitions reads what their journals remember."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec import Struct

from streamer.kafka import adapter
from streamer.kafka.journal.channel import Channel
from streamer.kafka.journal.entries import Entry, Epoch, decode
from streamer.kafka.journal.lineage import counting
from streamer.kafka.journal.writer import JournalWriter
from streamer.kafka.producing import stop

POLL_MS = 200
STOP_WITHIN = 5.0


class Owned(Struct, frozen=True):
    """A partition that is being opened.

    ``origin`` says whose offsets they are (`entries.origin`), ``after`` and ``low_water`` are the nonce and the
    low water that are committed, None where none are; ``unfinished`` tells which of the input's offsets are still
    to be worked on.
    """

    nonce: bytes
    origin: bytes
    after: bytes | None
    low_water: int | None
    unfinished: Callable[[int], bool]


class Reading:
    """One partition's journal, read up to its new owner's marker."""

    def __init__(self, channel: Channel, owned: Owned, beginning: int) -> None:
        marker = channel.log.marker
        assert marker is not None, "the marker is written first"
        self.log = channel.log
        self.marker = marker
        self.unfinished = owned.unfinished
        self.entries: list[tuple[int, Entry]] = []
        self.unreadable = 0
        self.start, self.warning = starting_point(owned.low_water, beginning, marker)

    def read(self, position: int, value: bytes | None) -> None:
        """One record."""
        if position > self.marker:
            return
        entry = decode(value)
        if entry is None:
            self.unreadable += 1
            return
        if entry.origin == self.log.origin and (isinstance(entry, Epoch) or self.unfinished(entry.offset)):
            self.entries.append((position, entry))

    def close(self) -> None:
        """All is read: the log remembers what counts."""
        for position, noted in counting(self.entries, self.log.nonce):
            self.log.restore(position, noted)
        self.entries = []


def starting_point(low_water: int | None, beginning: int, marker: int) -> tuple[int, str | None]:
    """Where to begin to read, and what to warn of."""
    if low_water is None:
        return beginning, None
    if low_water > marker:
        return beginning, (
            f"the journal was made anew (its end is {marker}, {low_water} was committed); what it remembered is gone"
        )
    if low_water < beginning:
        return beginning, (
            f"{beginning - low_water} records of the journal were deleted before their tasks were finished (its "
            "retention.ms is too short); their steps may be paid again"
        )
    return low_water, None


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
    readings = {tp: Reading(*pair, beginnings[tp]) for tp, pair in tps.items()}
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
