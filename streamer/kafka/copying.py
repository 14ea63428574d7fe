"""What a dead letter is put back as: the record that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streamer.errors import SettingsError
from streamer.kafka.backlog import record_at
from streamer.kafka.dead_letters import Headers, original, own
from streamer.kafka.letters import DeadLetter

FROM = "streamer-redriven-from"


class Copy(NamedTuple):
    """What a dead letter is put back as."""

    letter: DeadLetter
    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers


class Copying:
    """Makes copies of the dead letters of ``source``: for the topic each came from, or all for the topic ``to``."""

    def __init__(self, source: str, there: Mapping[str, int], to: str | None) -> None:
        self.source = source
        self.there = there
        self.to = to

    async def copy(self, letter: DeadLetter, origins: AIOKafkaConsumer) -> Copy | str:
        """The record as it first was, or why there is none."""
        record = letter.record
        topic = self.to or letter.topic
        if topic is None:
            return "no header says which topic it came from; --to says where it goes"
        if topic not in self.there:
            raise SettingsError(
                f"Dead letter {letter.address} goes to topic {topic!r}, which does not exist. Make it, or use --to."
            )
        key, value, headers = record.key, record.value, own(original(record.headers))
        if letter.value_bytes is not None:
            found = await self.origin(letter, origins)
            if found is None:
                return f"its value of {letter.value_bytes} bytes was left out, and {letter.origin} is gone"
            key, value, headers = found.key, found.value, original(found.headers)
        headers = [(name, text) for name, text in headers if name != FROM]
        headers.append((FROM, f"{self.source}-{letter.address}".encode()))
        return Copy(letter, topic, self.partition(letter, topic), key, value, headers)

    def partition(self, letter: DeadLetter, topic: str) -> int | None:
        """The one it came from, so that it stays beside its key's others; None leaves it to the key."""
        if topic != letter.topic or letter.partition is None or letter.partition >= self.there[topic]:
            return None
        return letter.partition

    async def origin(self, letter: DeadLetter, origins: AIOKafkaConsumer) -> Any | None:
        """The record that a dead letter without its value was made of, if its topic still has it."""
        topic, partition, offset = letter.topic, letter.partition, letter.offset
        if topic is None or partition is None or offset is None or partition >= self.there.get(topic, 0):
            return None
        found = await record_at(origins, topic, partition, offset)
        return found if found is not None and len(found.value or b"") == letter.value_bytes else None


async def send(producer: AIOKafkaProducer, copy: Copy) -> Any:
    """Hand a copy to the client; the future of the broker's answer."""
    topic, partition = copy.topic, copy.partition
    if copy.key is not None or copy.value is not None:
        return await producer.send(topic, copy.value, copy.key, partition=partition, headers=copy.headers)
    batch = producer.create_batch()  # which alone takes a record with neither
    batch.append(timestamp=None, key=None, value=None, headers=copy.headers)
    return await producer.send_batch(batch, topic, partition=partition or 0)
