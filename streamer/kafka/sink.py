"""Where data leaves: results and dead letters, in one batch per output partition at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streamer.kafka.complaint import SLOW, Complaint
from streamer.kafka.flushing import Flushing
from streamer.kafka.outlet import Outgoing, Outlet
from streamer.kafka.placement import Placement
from streamer.kafka.producing import TOO_LARGE, Producing
from streamer.kafka.record import LOST, Record


class Sink(Flushing):
    """Writes what it is given and tells ``acknowledged`` once the broker has it.

    ``write`` makes an :class:`Outgoing` of an item, and with an error a smaller one of an item that the broker
    refused for its size. What fails otherwise is sent again, for as long as it takes; the source's bound keeps
    memory in bounds meanwhile. ``finished`` is done when all was acknowledged after ``on_completed``, or raises
    at once what is fatal.

    Invariant: an item is acknowledged once, after the broker acknowledged it, in the order of its partition; where
    two things are written for it, the second after the first, and it after both.
    """

    def __init__(
        self,
        make_producer: Callable[[], AIOKafkaProducer],
        write: Callable[[Any, str | None], tuple[str, Outgoing]],
        warn: Callable[[str], None],
        input_count: Callable[[], int],
    ) -> None:
        super().__init__()
        self.producing = Producing(make_producer)
        self.write = write
        self.acknowledged: Callable[[list[Record]], None]
        self.dropped: Callable[[Record], None]
        self.warn = warn
        self.arrived: list[Any] = []
        self.outlets: dict[tuple[str, int], Outlet] = {}
        self.placement = Placement(input_count, self.producing.partitions_of)
        self.complaint = Complaint(warn, self.waiting)

    async def start(self, topics: list[str]) -> None:
        """Connect, and learn of the topics."""
        await self.producing.start(topics)
        self.begin_flushing()

    # --- the observer

    def on_next(self, value: Any) -> None:
        if value is not None:
            self.arrived.append(value)
            self.wake.set()

    # --- writing

    async def flush(self) -> None:
        """The one flusher: whatever has arrived meanwhile goes out with the next round."""
        while not self.closing:
            await self.wake.wait()
            self.wake.clear()
            if self.producing.troubled and not await self.renewed():
                continue
            arrived, self.arrived = self.arrived, []
            self.placement.forget()
            for item in arrived:
                self.place(*self.write(item, None))
            for outlet in list(self.outlets.values()):
                if outlet.waiting and outlet.idle:
                    await self.send(outlet)
                if self.complaint.stuck and outlet.idle and not outlet.waiting:
                    self.complaint.dismiss(outlet.place)
            if (
                self.ended
                and not self.arrived
                and not any(o.waiting or o.sent for o in self.outlets.values())
            ):
                self.all_written()
                return

    async def renewed(self) -> bool:
        """Whether there is a new producer; not while batches are under way (they fail or succeed first)."""
        if any(outlet.sent for outlet in self.outlets.values()):
            return False
        if await self.producing.renew():
            return True
        self.loop.call_later(self.complaint.wait, self.wake.set)
        return False

    def place(self, topic: str, outgoing: Outgoing) -> None:
        """Put it to its output partition."""
        key = (topic, self.placement.place(topic, outgoing))
        outlet = self.outlets.get(key)
        if outlet is None:
            outlet = self.outlets[key] = Outlet(*key)
        outlet.waiting.append(outgoing)

    async def send(self, outlet: Outlet) -> None:
        """Send the outlet's next batch, if its records still are ours to answer."""
        producer = self.producing.producer
        batch = producer.create_batch()
        waiting, sent = outlet.waiting, outlet.sent
        kept: list[Outgoing] = []
        while waiting:
            outgoing = waiting[0]
            record, key, value, headers, *_ = outgoing
            if record.partition.suspended:  # it may come back
                kept.append(waiting.popleft())
                continue
            if not record.partition.is_open:
                waiting.popleft()
                if record.state is not LOST:
                    record.partition.publish(record)
                self.dropped(record)
                continue
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                break
            waiting.popleft()
            record.partition.publish(record)
            sent.append(outgoing)
            if outlet.one_by_one:
                outlet.one_by_one -= 1
                break
        waiting.extendleft(reversed(kept))
        if not sent:
            return
        try:
            future = await producer.send_batch(batch, outlet.topic, partition=outlet.number)
        except Exception as error:
            self.refused(outlet, error)
            return
        slow = self.loop.call_later(SLOW, self.slow, outlet)

        def done(answer: asyncio.Future[Any]) -> None:
            slow.cancel()
            self.answered(outlet, answer)

        future.add_done_callback(done)

    def answered(self, outlet: Outlet, done: asyncio.Future[Any]) -> None:
        """The broker has answered."""
        if done.cancelled():
            error: BaseException | None = KafkaError("the producer was closed")
        else:
            error = done.exception()
        if error is not None:
            self.refused(outlet, error)
            return
        sent, outlet.sent = outlet.sent, []
        self.complaint.withdraw(outlet.place)
        records = [outgoing.record for outgoing in sent if outgoing.also is None]
        if len(records) < len(sent):
            self.go_on(sent)
        self.acknowledged(records)
        self.wake.set()

    def go_on(self, sent: list[Outgoing]) -> None:
        """Of what is written in two parts the first is there: now the second."""
        for outgoing in sent:
            if outgoing.also is not None:
                outgoing.record.partition.refuse(outgoing.record)
                self.place(*outgoing.also)

    def slow(self, outlet: Outlet) -> None:
        """Say that the broker takes nothing: the client itself tries for ever, and in silence."""
        self.complaint.raise_(outlet.place, f"no acknowledgement for {SLOW:g} s")

    def waiting(self) -> int:
        """How many results are not acknowledged yet."""
        return sum(len(o.waiting) + len(o.sent) for o in self.outlets.values()) + len(self.arrived)

    def refused(self, outlet: Outlet, error: BaseException) -> None:
        """Send again: at once and smaller what was too large, else after a while."""
        back = outlet.put_back()
        for outgoing in back:
            outgoing.record.partition.refuse(outgoing.record)
        self.producing.troubled = True
        if isinstance(error, TOO_LARGE) and back[0].can_be_less:
            if len(back) > 1:
                outlet.one_by_one = len(back)
            else:
                large = outlet.waiting.popleft()
                sentence = too_large(large, outlet.topic, error)
                topic, less = self.write(large, sentence)
                self.warn(f"{sentence} {topic} gets what is left without them.")
                if topic == outlet.topic:
                    outlet.waiting.appendleft(less)
                else:
                    self.place(topic, less)
            self.wake.set()
            return
        self.complaint.raise_(outlet.place, f"{type(error).__name__}: {error}")
        self.loop.call_later(self.complaint.pause(), self.wake.set)

    async def close(self, seconds: float) -> None:
        """Close the connections, bounded in time; what was not acknowledged stays unfinished."""
        self.stop_flushing()
        await self.producing.close(seconds)


def too_large(outgoing: Outgoing, topic: str, error: BaseException) -> str:
    """Why it can't be written as it is."""
    what = "The dead letter" if outgoing.result is None else "The result"
    return (
        f"{what} has {len(outgoing.value or b'')} bytes, which topic {topic!r} refused "
        f"({type(error).__name__}); its limit is max.message.bytes."
    )
