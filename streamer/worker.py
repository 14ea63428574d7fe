"""The whole story: source → decode → concurrent_map(answer) → sink → ledger → commit."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from reactivex import operators as ops

from streamer.decoding import Decoder
from streamer.errors import InvalidTask
from streamer.events import Listener
from streamer.kafka.claiming import Claiming, is_claim
from streamer.kafka.claims import LARGEST, open_store
from streamer.kafka.connection import Connection
from streamer.kafka.lanes import Lanes
from streamer.kafka.notices import Notices
from streamer.kafka.outlet import BATCH_BYTES
from streamer.kafka.record import Record
from streamer.kafka.sink import Sink
from streamer.kafka.source import Source
from streamer.kafka.topics import DEAD_LETTER_BYTES, Wanted, ensure
from streamer.kafka.writing import Writer, content_type
from streamer.limits import Slots
from streamer.operators import concurrent_map
from streamer.settings import Settings
from streamer.topology import Topology

FOREVER_MS = 24 * 3_600_000
"""aiokafka's own poll watchdog counts a pause of ours as a hang."""
DEADLINE = "streamer-deadline"
ELSEWHERE = object()
"""Stands for a task that is to be read from the claim check."""


class Worker:
    """Runs one topology as a member of its group, from ``start`` until ``stop`` or a fatal error.

    ``warn`` is told, in sentences, what whoever is on call should know.
    """

    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        connection: Connection,
        *,
        listener: Listener | None = None,
        warn: Callable[[str], None] = print,
    ) -> None:
        self.topology = topology
        self.settings = settings
        self.connection = connection
        self.warn = warn
        self.input = settings.input or topology.input
        self.output = settings.output or topology.output
        self.group = settings.group or topology.name
        self.client_id = f"streamer-{topology.name}-{socket.gethostname()}-{os.getpid()}"
        self.slots = Slots(settings.concurrency)
        self.engine = topology.engine(self.slots, listener)
        self.decoder = Decoder(topology.task_type, settings.max_message_bytes)
        self.wire_ids = not hasattr(topology.task_type, "__struct_fields__") or (
            "id" in topology.task_type.__struct_fields__
        )

    def topics(self) -> list[Wanted]:
        """The topics it needs; the input first."""
        dead_letters = {"max.message.bytes": str(DEAD_LETTER_BYTES), "retention.ms": str(30 * 86_400_000)}
        return [
            Wanted(self.input, self.settings.partitions, {}, "input"),
            Wanted(self.output, None, {}, "output"),
            Wanted(f"{self.topology.name}.dead-letters", 1, dead_letters, "dead letters"),
        ]

    async def start(self, *, create_missing: bool = True) -> None:
        """Connect, make the topics that are missing, and begin; returns before partitions are assigned."""
        settings = self.settings
        store = open_store(settings.claim_check) if settings.claim_check is not None else None
        elsewhere = Decoder(self.topology.task_type, LARGEST)
        self.claiming = Claiming(store, settings.claim_check_bytes, elsewhere, self.warn)
        counts = await ensure(self.connection, self.topics(), create_missing=create_missing, say=self.warn)
        dead_letters = f"{self.topology.name}.dead-letters"
        self.notices = Notices(dead_letters, self.warn)
        writer = Writer(self.output, dead_letters, self.topology.name, self.client_id, self.notices)
        self.source = Source(
            self.consumer(),
            self.input,
            outstanding=settings.outstanding_limit,
            lanes=Lanes() if settings.ordering == "key" else None,
            revoke_timeout=settings.revoke_timeout,
            accept_loss=settings.accept_loss,
            warn=self.warn,
        )
        self.sink = Sink(
            self.producer,
            writer.write,
            self.source.acknowledged,
            self.source.done,
            self.warn,
            counts[self.input],
        )
        await self.sink.start([self.output, dead_letters])
        try:
            await self.source.consumer.start()
        except BaseException:
            await self.sink.close(5.0)
            raise
        pipeline = self.source.records.pipe(
            ops.map(self.decode),
            concurrent_map(self.answer, self.slots, bound=settings.outstanding_limit),
        )
        self.subscription = pipeline.subscribe(self.sink)

    def decode(self, record: Record) -> tuple[Record, Any, float]:
        """A record with its task, or with what is wrong with it; never raises."""
        message = record.message
        received = self.source.loop.time()
        try:
            if message.headers:
                check_deadline(message)
                if is_claim(message):
                    return record, ELSEWHERE, received
                return record, self.decoder.decode(message.value, content_type(message)), received
            return record, self.decoder.decode(message.value), received
        except InvalidTask as problem:
            if problem.task_id is None:
                problem.task_id = header(message, "streamer-task-id")
            return record, problem, received

    async def answer(self, item: tuple[Record, Any, float]) -> tuple[Record, Any] | None:
        """One record to its result; None when it was let go before, or its partition meanwhile."""
        record, task, received = item
        source = self.source
        if not source.begin(record):
            return None
        if task is ELSEWHERE:
            task = await self.claiming.task(record.message)
            if type(task) is InvalidTask and task.task_id is None:
                task.task_id = header(record.message, "streamer-task-id")
        outcome: Any
        if type(task) is InvalidTask:
            outcome = task
        else:
            message = record.message
            deadline = None
            task_id = task.id if self.wire_ids else None
            if message.headers:
                task_id = task_id or header(message, "streamer-task-id")
                deadline = instant(header(message, DEADLINE))
            outcome = await self.engine.run(
                task,
                task_id=task_id or f"{message.topic}-{message.partition}-{message.offset}",
                received=received,
                deadline=deadline,
            )
            outcome = await self.claiming.result(message, outcome)
        return (record, outcome) if source.answered(record) else None

    async def ready(self) -> None:
        """Wait until partitions are assigned and open, or the worker has ended."""
        assigned = asyncio.ensure_future(self.source.assigned.wait())
        ends: list[asyncio.Future[Any]] = [assigned, self.sink.finished]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assigned.cancel()

    async def ended(self) -> None:
        """Wait for the end of the stream; raises what was fatal."""
        await asyncio.shield(self.sink.finished)

    async def stop(self) -> bool:
        """Drain: take no more, finish what runs within ``drain_timeout``, commit, leave. False if cut short."""
        self.source.stop()
        await asyncio.wait((self.sink.finished,), timeout=self.settings.drain_timeout)
        drained = self.sink.finished.done()
        self.subscription.dispose()
        if not drained:
            self.warn("The drain timeout came first; what was still running will be run again.")
        self.notices.close()
        await self.source.close(10.0)
        await self.sink.close(10.0)
        return drained

    def consumer(self) -> AIOKafkaConsumer:
        session = int(self.settings.session_timeout * 1000)
        return AIOKafkaConsumer(
            **self.connection.client(self.client_id),
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=session,
            heartbeat_interval_ms=session // 4,
            rebalance_timeout_ms=int(self.settings.revoke_timeout * 1000) + 30_000,
            max_poll_interval_ms=FOREVER_MS,
            fetch_max_wait_ms=100,
        )

    def producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            **self.connection.client(self.client_id),
            enable_idempotence=True,
            acks="all",
            max_batch_size=BATCH_BYTES,
            max_request_size=DEAD_LETTER_BYTES,
            metadata_max_age_ms=60_000,
        )


def header(message: Any, name: str) -> str | None:
    """A header's text; the first of that name."""
    for found, value in message.headers:
        if found == name and value:
            return str(value, "utf-8", "replace")
    return None


def check_deadline(message: Any) -> None:
    """A bound that can't be read is not a bound to ignore."""
    text = header(message, DEADLINE)
    if text is not None and instant(text) is None:
        raise InvalidTask(
            "validation_error", f"Header `{DEADLINE}` is no RFC 3339 instant with an offset: {text[:100]!r}"
        )


def instant(text: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 instant; None of anything else."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo is not None else None
