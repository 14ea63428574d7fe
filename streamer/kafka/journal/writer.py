"""Writes the journals of all partitions of a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from streamer.errors import SettingsError
from streamer.kafka.complaint import SLOW, Complaint
from streamer.kafka.journal.channel import Channel
from streamer.kafka.journal.log import Log
from streamer.kafka.outlet import BATCH_BYTES
from streamer.kafka.producing import TOO_LARGE, Producing


class JournalWriter:
    """One producer, one batch under way per partition; what fails is written again, for as long as it takes.

    ``warn`` hears of trouble once, until it is over; ``fail`` of a bug that ended the writing.

    Invariant: a log's batch counts as written only once the broker has acknowledged it, with its offset.
    """

    def __init__(
        self,
        make_producer: Callable[[], AIOKafkaProducer],
        topic: str,
        warn: Callable[[str], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self.producing = Producing(make_producer)
        self.topic = topic
        self.warn = warn
        self.fail = fail
        self.loop = asyncio.get_running_loop()
        self.channels: dict[int, Channel] = {}
        self.under_way = 0
        self.wake = asyncio.Event()
        self.complaint = Complaint(warn, self.unsettled, "notes")
        self.pausing = self.unwritable = False
        self.flusher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and learn of the topic."""
        try:
            await self.producing.start([self.topic])
        except UnknownTopicOrPartitionError as error:
            raise SettingsError(
                f"Missing topics: {self.topic!r} (journal). Create it with `streamer topics MODULE`."
            ) from error
        self.flusher = self.loop.create_task(self.write())
        self.flusher.add_done_callback(self.ended)

    def open(self, number: int, nonce: bytes, origin: bytes, after: bytes | None) -> Channel:
        """A partition has a new owner: its marker is written at once; ``settle(0)`` waits for it."""
        before = self.channels.get(number)
        if before is not None:
            before.close()
        channel = self.channels[number] = Channel(number, Log(nonce, origin, after), self.wake.set)
        channel.hurry()
        return channel

    def release(self, channel: Channel) -> None:
        """The partition is no longer ours; what is not under way is not written."""
        channel.close()
        if self.channels.get(channel.number) is channel:
            del self.channels[channel.number]
            self.complaint.dismiss(self.where(channel))

    def tend(self) -> None:
        """Let what is to be written again be written, also where nothing is noted; to be called now and then."""
        for channel in self.channels.values():
            if not channel.busy and channel.timer is None and channel.log.waiting:
                channel.hurry()

    async def flush(self, seconds: float) -> bool:
        """Wait until all that was noted is durable, as a leave does; False when time ran out."""
        flushes = (channel.flush(seconds) for channel in list(self.channels.values()))
        return all(await asyncio.gather(*flushes))

    async def close(self, seconds: float) -> None:
        """Stop writing, bounded in time; what was not acknowledged may be paid again."""
        if self.flusher is not None:
            self.flusher.cancel()
        for channel in list(self.channels.values()):
            self.release(channel)
        await self.producing.close(seconds)

    # --- writing

    async def write(self) -> None:
        """The one that writes: a batch of each channel that is due."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            if self.pausing or (self.producing.troubled and not await self.renewed()):
                continue
            for channel in list(self.channels.values()):
                if channel.due and not channel.busy:
                    await self.send(channel)

    async def renewed(self) -> bool:
        """Whether there is a new producer; not while batches are under way (they fail or succeed first)."""
        if self.under_way:
            return False
        if await self.producing.renew():
            return True
        self.again()
        return False

    async def send(self, channel: Channel) -> None:
        """Send a channel's next batch."""
        channel.due = False
        channel.rest()
        records = channel.log.take(BATCH_BYTES)
        self.tell_unwritable(channel)
        if not records:
            channel.settled()
            return
        producer = self.producing.producer
        batch = producer.create_batch()
        for key, value in records:
            if batch.append(timestamp=None, key=key, value=value) is None:
                raise RuntimeError(
                    f"a batch of {BATCH_BYTES} bytes does not fit the producer's max_batch_size"
                )
        channel.busy = True
        self.under_way += 1
        try:
            future = await producer.send_batch(batch, self.topic, partition=channel.number)
        except Exception as error:
            self.refused(channel, error)
            return
        why = f"no acknowledgement for {SLOW:g} s"
        slow = self.loop.call_later(SLOW, self.complaint.raise_, self.where(channel), why)

        def done(answer: asyncio.Future[Any]) -> None:
            slow.cancel()
            self.answered(channel, answer)

        future.add_done_callback(done)

    def answered(self, channel: Channel, answer: asyncio.Future[Any]) -> None:
        """The broker has answered."""
        error = KafkaError("the producer was closed") if answer.cancelled() else answer.exception()
        if error is not None:
            self.refused(channel, error)
            return
        self.idle(channel)
        base = answer.result().offset
        if base < 0:  # a repeated request, whose first answer was lost: it is durable, but nobody knows where
            channel.log.failed()
            channel.hurry()
            return
        channel.log.written(base)
        self.complaint.withdraw(self.where(channel))
        channel.settled()
        self.wake.set()

    def refused(self, channel: Channel, error: BaseException) -> None:
        """Write again: at once what was too large, in smaller batches, else after a while."""
        self.idle(channel)
        self.producing.troubled = True
        channel.due = not channel.closed
        if isinstance(error, TOO_LARGE) and channel.log.marker is not None:
            channel.log.refused()
            self.wake.set()
            return
        channel.log.failed()
        if channel.number in self.channels:
            self.complaint.raise_(self.where(channel), f"{type(error).__name__}: {error}")
        else:
            self.complaint.dismiss(self.where(channel))
        self.again()

    def idle(self, channel: Channel) -> None:
        channel.busy = False
        self.under_way -= 1

    def again(self) -> None:
        """Try once more after a while, and not before, whatever is noted meanwhile."""
        if not self.pausing:
            self.pausing = True
            self.loop.call_later(self.complaint.pause(), self.resume)

    def resume(self) -> None:
        self.pausing = False
        self.wake.set()

    def where(self, channel: Channel) -> str:
        return f"{self.topic}-{channel.number}"

    def unsettled(self) -> int:
        """How many notes are not durable yet."""
        return sum(channel.log.unsettled for channel in self.channels.values())

    def tell_unwritable(self, channel: Channel) -> None:
        """Once: who runs this can change the topic, or the function that answers so."""
        if channel.log.unwritable and not self.unwritable:
            self.unwritable = True
            offset, why = channel.log.unwritable[0]
            self.warn(
                f"The outcome of a step can't be written to {self.where(channel)} ({why}; its task is at "
                f"offset {offset}). After a crash such steps are paid again; this is said once."
            )
        channel.log.unwritable.clear()

    def ended(self, task: asyncio.Task[None]) -> None:
        """A writer that fails is a bug, and must not be a silence."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))
