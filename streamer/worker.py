"""The whole story: source → decode → concurrent_map(answer) → sink → ledger → commit."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

from reactivex import operators as ops

from streamer.decoding import Decoder
from streamer.events import Listener
from streamer.kafka.answering import Answering, priority
from streamer.kafka.claiming import Claiming
from streamer.kafka.claims import LARGEST, open_store
from streamer.kafka.clients import Clients
from streamer.kafka.connection import Connection
from streamer.kafka.control import Control, wanted
from streamer.kafka.journal.journals import Journals
from streamer.kafka.lanes import Lanes
from streamer.kafka.notices import Notices
from streamer.kafka.quarantine import Quarantine
from streamer.kafka.sink import Sink
from streamer.kafka.source import Source
from streamer.kafka.topics import DEAD_LETTER_BYTES, Wanted, ensure
from streamer.kafka.transactions import Transactions
from streamer.kafka.watch import Warnings, Watch
from streamer.kafka.writing import Writer
from streamer.operators import concurrent_map
from streamer.settings import Settings
from streamer.topology import Topology


class Worker:
    """Runs one topology as a member of its group, from ``start`` until ``stop`` or a fatal error.

    ``warn`` is told, in sentences, what whoever is on call should know. Workers of one process share a
    ``quarantine``.
    """

    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        connection: Connection,
        *,
        listener: Listener | None = None,
        quarantine: Quarantine | None = None,
        warn: Callable[[str], None] = print,
    ) -> None:
        self.topology = topology
        self.settings = settings
        self.connection = connection
        self.quarantine = quarantine or Quarantine()
        self.warn = warnings = Warnings(warn)
        self.input = settings.input or topology.input
        self.output = settings.output or topology.output
        self.dead_letters = f"{topology.name}.dead-letters"
        self.journal = f"{topology.name}.journal"
        self.group = settings.group or topology.name
        self.client_id = f"streamer-{topology.name}-{socket.gethostname()}-{os.getpid()}"
        self.slots = topology.slots(settings.concurrency)
        self.engine = topology.engine(self.slots, listener, settings.park_after)
        self.watch = Watch(
            topology.name,
            settings,
            (self.input, self.output),
            self.group,
            self.slots,
            lambda: self.engine.strays,
            warnings,
        )

    def topics(self) -> list[Wanted]:
        """The topics it needs; the input first."""
        dead_letters = {"max.message.bytes": str(DEAD_LETTER_BYTES), "retention.ms": str(30 * 86_400_000)}
        journal = {**dead_letters, "cleanup.policy": "delete", "retention.ms": str(7 * 86_400_000)}
        return [
            Wanted(self.input, self.settings.partitions, {}, "input"),
            Wanted(self.output, None, {}, "output"),
            Wanted(self.dead_letters, 1, dead_letters, "dead letters"),
            Wanted(self.journal, None, journal, "journal"),
            wanted(self.topology.name),
        ]

    async def start(self, *, create_missing: bool = True) -> None:
        """Connect, make the topics that are missing, and begin; returns before partitions are assigned."""
        self.client_id = await self.watch.serve(self.client_id)
        try:
            await self.begin(create_missing)
        except BaseException:
            await self.watch.stop()
            raise
        self.watch.observe(self.source, self.sink)

    async def begin(self, create_missing: bool) -> None:
        settings, kind = self.settings, self.topology.task_type
        store = open_store(settings.claim_check) if settings.claim_check is not None else None
        claiming = Claiming(store, settings.claim_check_bytes, Decoder(kind, LARGEST), self.warn)
        counts = await ensure(self.connection, self.topics(), create_missing=create_missing, say=self.warn)
        self.source, self.sink = self.ends()
        try:
            await self.control.start(counts[self.control.topic])
            await self.journals.start()
            await self.sink.start([self.output, self.dead_letters])
            await self.source.consumer.start()
        except BaseException:
            await self.close(5.0)
            raise
        decoder = Decoder(kind, settings.max_message_bytes)
        answering = Answering(self.source.dispatcher, self.engine, decoder, claiming)
        pipeline = self.source.records.pipe(
            ops.map(answering.decode),
            concurrent_map(answering.answer, self.slots, bound=settings.outstanding_limit, priority=priority),
        )
        self.subscription = pipeline.subscribe(self.sink)

    def ends(self) -> tuple[Source, Sink | Transactions]:
        """Where records enter and where results leave; in exactly-once mode the latter commits for the former."""
        settings = self.settings
        clients = Clients(self.connection, settings, self.group, self.client_id)
        consumer = clients.consumer()
        self.control = Control(
            clients.listener, wanted(self.topology.name).name, self.engine.cancel, self.warn
        )
        self.engine.unwanted = self.control.cancelled
        self.notices = Notices(self.dead_letters, self.warn)
        writer = Writer(
            self.output,
            self.dead_letters,
            self.topology.name,
            self.client_id,
            self.notices,
            failed_too=settings.dead_letter_failed,
        )
        ways: dict[str, Any] = {
            "write": writer.write,
            "warn": self.warn,
            "input_count": lambda: len(consumer.partitions_for_topic(self.input) or ()),
        }
        transactions = None
        if settings.delivery == "exactly-once":
            transactions = Transactions(clients.producer, self.group, **ways)
        self.journals = Journals(
            self.connection,
            clients.producer,
            clients.reader,
            self.journal,
            self.group,
            self.warn,
            lambda error: self.source.fail(error),
        )
        source = Source(
            consumer,
            self.input,
            outstanding=settings.outstanding_limit,
            concurrency=settings.concurrency,
            lanes=Lanes() if settings.ordering == "key" else None,
            session_timeout=settings.session_timeout,
            revoke_timeout=settings.revoke_timeout,
            accept_loss=settings.accept_loss,
            quarantine=self.quarantine,
            transactions=transactions,
            journals=self.journals,
            warn=self.warn,
        )
        sink = transactions or Sink(clients.producer, **ways)
        sink.acknowledged, sink.dropped = source.dispatcher.acknowledged, source.dispatcher.done
        source.flush, source.failed = sink.wake.set, sink.fail
        return source, sink

    async def ready(self) -> None:
        """Wait until partitions are assigned and open, or the worker has ended."""
        assigned = asyncio.ensure_future(self.source.assignment.ready.wait())
        ends: list[asyncio.Future[Any]] = [assigned, self.sink.finished]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assigned.cancel()

    async def ended(self) -> None:
        """Wait for the end of the stream; raises what was fatal."""
        await asyncio.shield(self.sink.finished)

    async def stop(self) -> bool:
        """Drain: take no more, finish what runs within ``drain_timeout``, commit, leave. False if cut short."""
        self.source.stop()
        self.engine.complete()
        drained = await self.sink.drained(self.settings.drain_timeout)
        self.subscription.dispose()
        if not drained:
            self.warn("The drain timeout came first; what was still running will be run again.")
        self.notices.close()
        await self.source.close(10.0)
        await self.close(10.0)
        await self.watch.stop()
        return drained

    async def close(self, seconds: float) -> None:
        """Close the connections of what writes."""
        await self.sink.close(seconds)
        await self.journals.close(seconds)
        await self.control.close(seconds)
        for function in self.topology.functions.values():
            await function.close()
