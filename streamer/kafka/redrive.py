"""Puts dead letters back to where they came from, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced, RecordListTooLargeError
from aiokafka.structs import OffsetAndMetadata

from streamer.errors import StreamerError
from streamer.kafka import adapter
from streamer.kafka.backlog import extent, reader, records
from streamer.kafka.connection import Connection
from streamer.kafka.copying import Copy, Copying, send
from streamer.kafka.letters import DeadLetter, Wanted, dead_letter
from streamer.kafka.producing import stop
from streamer.kafka.redriven import Redriven, restored
from streamer.kafka.topic_ids import identities
from streamer.kafka.topics import DEAD_LETTER_BYTES, Unreachable, explained

MOST_RECORDS, MOST_BYTES = 500, 4_000_000
PATIENCE = 60.0
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class Report(Protocol):
    """Who is told what became of each dead letter."""

    def redriven(self, copy: Copy) -> None: ...
    def skipped(self, letter: DeadLetter, why: str) -> None: ...


class Redrive:
    """Copies the ``wanted`` dead letters of a topic to their input topics, or all of them ``to`` one.

    Invariant: copies, and the note in the group's offsets that they were made, are of one transaction. So for those
    who read what is committed each is there once, whenever this is killed and however often it is run. Whoever
    begins later ends whoever runs already: they share the transactional id.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        there: Mapping[str, int],
        report: Report,
        *,
        wanted: Wanted,
        to: str | None = None,
        again: bool = False,
        dry_run: bool = False,
    ) -> None:
        self.connection = connection
        self.topic = topic
        self.group = f"{topic}.redrive"
        self.partitions = there[topic]
        self.copying = Copying(topic, there, to)
        self.report = report
        self.wanted = wanted
        self.again = again
        self.dry_run = dry_run
        self.topic_id = ""
        self.progress: dict[int, Redriven] = {}
        self.copies: list[Copy] = []
        self.bytes = 0
        self.producer: AIOKafkaProducer | None = None

    async def run(self) -> None:
        """Put back what is there now."""
        try:
            if not self.dry_run:
                await self.renew()  # before the progress is read: it ends whatever was under way
            async with reader(self.connection, self.group) as consumer, reader(self.connection) as origins:
                stretches = await self.restore(consumer)
                async for record in records(consumer, stretches):
                    if self.progress[record.partition].is_left(record.offset):
                        await self.take(dead_letter(record), origins)
                await self.flush()
        finally:
            if self.producer is not None:
                await stop(self.producer, 10.0)

    async def renew(self) -> None:
        """A producer; what another one with this transactional id had not committed is undone."""
        if self.producer is not None:
            await stop(self.producer, 10.0)
        self.producer = AIOKafkaProducer(
            **self.connection.client("streamer-redrive"),
            transactional_id=self.group,
            max_request_size=DEAD_LETTER_BYTES,
        )
        try:
            await asyncio.wait_for(self.producer.start(), PATIENCE)
        except (KafkaError, OSError) as error:
            raise Unreachable(explained(self.connection, error)) from error

    async def restore(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, tuple[int, int]]:
        """What is to be read of each partition, after what earlier redrives have noted."""
        stretches = await extent(consumer, self.topic, self.partitions)
        _, ids = await identities(adapter.client_of(consumer), [self.topic])
        self.topic_id = ids.get(self.topic, "")
        committed = {} if self.again else await adapter.committed(consumer, list(stretches))
        for tp, (begin, end) in stretches.items():
            noted = restored(*committed[tp], self.topic_id) if tp in committed else None
            progress = noted if noted is not None and noted.frontier <= end else Redriven(begin)
            progress.forget_below(begin)
            self.progress[tp.partition] = progress
            stretches[tp] = (progress.frontier, end)
        if self.again and not self.dry_run:
            await self.write([], list(self.progress))
        return stretches

    async def take(self, letter: DeadLetter, origins: AIOKafkaConsumer) -> None:
        """One dead letter that is left, and stays so until its copy is committed."""
        self.progress[letter.record.partition].leave(letter.record.offset)
        if not self.wanted.matches(letter):
            return
        copy = await self.copying.copy(letter, origins)
        if isinstance(copy, str):
            self.report.skipped(letter, copy)
            return
        self.copies.append(copy)
        self.bytes += len(copy.value or b"")
        if len(self.copies) >= MOST_RECORDS or self.bytes >= MOST_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what was gathered; alone each, where the broker refuses one of them for its size."""
        copies, self.copies, self.bytes = self.copies, [], 0
        if not copies:
            return
        try:
            await self.write(copies, sorted({copy.letter.record.partition for copy in copies}))
        except TOO_LARGE as error:
            await self.renew()
            for copy in copies:
                if len(copies) > 1:
                    self.copies = [copy]
                    await self.flush()
                else:
                    why = f"topic {copy.topic!r} takes no record of {len(copy.value or b'')} bytes"
                    self.report.skipped(copy.letter, f"{why} ({type(error).__name__})")
        else:
            for copy in copies:
                self.report.redriven(copy)

    async def write(self, copies: list[Copy], partitions: list[int]) -> None:
        """One transaction: the copies, and the progress of these partitions."""
        progress = {number: self.progress[number].copy() for number in partitions}
        for copy in copies:
            progress[copy.letter.record.partition].done(copy.letter.record.offset)
        offsets = {TopicPartition(self.topic, number): self.note(number, p) for number, p in progress.items()}
        if not self.dry_run:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self.transact(copies, offsets)
            except TOO_LARGE:
                raise
            except ProducerFenced as error:
                raise StreamerError(
                    f"Another redrive of {self.topic} has begun and goes on from here; this one ends."
                ) from error
            except (KafkaError, OSError) as error:
                raise StreamerError(
                    f"The redrive was interrupted: {type(error).__name__}: {error}. Run it again: it goes on after "
                    "what is put back already."
                ) from error
        self.progress |= progress

    async def transact(self, copies: list[Copy], offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        """All of it or nothing."""
        assert self.producer is not None
        await self.producer.begin_transaction()
        sent = [await send(self.producer, copy) for copy in copies]
        for answer in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(answer, BaseException):
                raise answer
        await self.producer.send_offsets_to_transaction(offsets, self.group)
        await self.producer.commit_transaction()

    def note(self, number: int, progress: Redriven) -> OffsetAndMetadata:
        """A partition's progress as it is committed."""
        metadata = progress.encode(self.topic_id)
        if metadata is None:
            raise StreamerError(
                f"Below {number}-{progress.end} the filters have left {len(progress.left)} dead letters, in more "
                f"places than can be remembered. Redrive those first, without filters or with --until. To give them "
                f"up: kafka-consumer-groups.sh --group {self.group} --topic {self.topic}:{number} --reset-offsets "
                f"--to-offset {progress.end} --execute"
            )
        return OffsetAndMetadata(progress.frontier, metadata)
