"""Looks after a worker once a second: shows it to the watchdog, and does what that asks for."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from streamer.blocking import taken
from streamer.errors import StreamerError
from streamer.kafka import adapter
from streamer.kafka.inspection import outstanding, partition_snapshot, running_longer, task_snapshot
from streamer.kafka.partition import Partition
from streamer.kafka.sink import Sink
from streamer.kafka.snapshot import Warned, WorkerSnapshot
from streamer.kafka.source import Source
from streamer.kafka.status_server import StatusServer
from streamer.kafka.transactions import Transactions
from streamer.kafka.watchdog import Finding, PartitionSight, Remedy, Sight, TasksSight, Watchdog, limit_of
from streamer.kafka.why import clipped, waits, why
from streamer.limits import Limit
from streamer.settings import Settings
from streamer.version import __version__

EVERY = 1.0
ASK_AFTER = 10.0
"""Seconds without a word of a partition's end, after which the broker is asked."""
REMEMBERED = 20
REMEMBERED_FOR = 600.0


class Warnings:
    """Passes warnings on, and remembers the last ones; the same one again is counted."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.said: OrderedDict[str, Warned] = OrderedDict()

    def __call__(self, sentence: str) -> None:
        before = self.said.pop(sentence, None)
        self.said[sentence] = Warned(datetime.now(UTC), sentence, before.times + 1 if before else 1)
        if len(self.said) > REMEMBERED:
            self.said.popitem(last=False)
        self.warn(sentence)

    def recent(self) -> tuple[Warned, ...]:
        """Those of the last minutes."""
        now = datetime.now(UTC)
        return tuple(said for said in self.said.values() if (now - said.at).total_seconds() < REMEMBERED_FOR)


class Watch:
    """Watches one worker, and tells who asks. ``strays`` counts work that outlived its task."""

    def __init__(
        self,
        topology: str,
        settings: Settings,
        topics: tuple[str, str],
        group: str,
        slots: Limit,
        strays: Callable[[], int],
        warnings: Warnings,
    ) -> None:
        self.topology = topology
        self.settings = settings
        self.topics = topics
        self.group = group
        self.slots = slots
        self.strays = strays
        self.warnings = warnings
        self.client_id = ""
        self.dog = Watchdog(settings.session_timeout)
        self.server = StatusServer(settings.status_host, settings.status_port, self.snapshot, warnings)
        self.source: Source | None = None
        self.sink: Sink | Transactions | None = None
        self.began = time.monotonic()
        self.lag = self.busy = 0.0
        self.ends: dict[TopicPartition, tuple[int, float]] = {}
        """What the broker was asked for, and when, on the time of day."""
        self.asking: asyncio.Task[None] | None = None
        self.asked_at = 0.0
        self.ending: asyncio.Task[None] | None = None
        self.ticking: asyncio.Task[None] | None = None

    async def serve(self, client_id: str) -> str:
        """Serve the status from now on; the client id, with the port in it."""
        self.client_id = client_id + await self.server.start()
        return self.client_id

    def observe(self, source: Source, sink: Sink | Transactions) -> None:
        """Watch from now on; the consumer has started."""
        self.source, self.sink = source, sink
        self.ticking = asyncio.get_running_loop().create_task(self.tick())

    async def stop(self) -> None:
        """Watch and serve no more."""
        for task in (self.ticking, self.asking):
            if task is not None:
                task.cancel()
        await self.server.stop()

    async def tick(self) -> None:
        """Look, once a second."""
        loop = asyncio.get_running_loop()
        due, used = loop.time() + EVERY, time.process_time()
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            now = loop.time()
            self.lag = max(0.0, now - due)
            due = now + EVERY
            self.busy, used = time.process_time() - used, time.process_time()
            try:
                for finding in self.dog.look(now, self.sight(now)):
                    self.act(finding)
            except Exception as error:
                # who watches must not be what fails
                loop.call_exception_handler({"message": "The watchdog failed", "exception": error})

    def act(self, finding: Finding) -> None:
        """Say it, and do what helps."""
        source = self.source
        assert source is not None
        self.warnings(finding.sentence)
        if finding.remedy is Remedy.READ_AGAIN:
            source.poller.read_again(finding.place)
        elif finding.remedy is Remedy.END and self.ending is None:
            error = StreamerError(finding.sentence)
            self.ending = source.loop.create_task(source.give_up(error, self.settings.drain_timeout))

    # --- what there is to see

    def sight(self, now: float) -> Sight:
        """The worker, as the watchdog looks at it."""
        source = self.source
        assert source is not None
        taking = source.poller.taking
        partitions, tasks, unknown = [], [], []
        closed = [f"{late.topic}-{late.number}" for late in source.assignment.overdue()]
        for tp, partition in source.partitions.items():
            place = f"{tp.topic}-{tp.partition}"
            if not partition.is_open:
                continue
            known = self.end_of(tp)
            if known is None or time.time() - known[1] > ASK_AFTER:
                unknown.append(tp)
            if known is not None:
                end_at = now - max(0.0, time.time() - known[1])
                room = taking and source.poller.wants(partition)
                partitions.append(PartitionSight(place, partition.position, known[0], end_at, room))
            stuck = self.stuck(place, partition, now)
            if stuck is not None:
                tasks.append(stuck)
        if unknown and now - self.asked_at >= ASK_AFTER and (self.asking is None or self.asking.done()):
            self.asked_at = now
            self.asking = source.loop.create_task(self.ask(unknown))
        unheard = source.membership.heartbeats.unheard()
        return Sight(self.lag, unheard, partitions, tasks, taken(), closed, self.busy)

    def end_of(self, tp: TopicPartition) -> tuple[int, float] | None:
        """The end of a log as far as is known, and when it was."""
        assert self.source is not None
        found = (adapter.fetched_end(self.source.consumer, tp), self.ends.get(tp))
        return max((known for known in found if known is not None), key=lambda known: known[1], default=None)

    async def ask(self, tps: list[TopicPartition]) -> None:
        """Ask the broker for the ends of logs that no fetch has told of for a while."""
        assert self.source is not None
        with suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(ASK_AFTER):
                found = await self.source.consumer.end_offsets(tps)
            self.ends = {tp: (end, time.time()) for tp, end in found.items()}

    def stuck(self, place: str, partition: Partition, now: float) -> TasksSight | None:
        """The tasks of a partition that run for too long."""
        after = self.settings.stuck_after
        seen = [
            (record.offset, task_snapshot(record, now, self.epoch))
            for record in running_longer(partition, after, now)
        ]
        late = [task for _, task in seen if (task.seconds or 0.0) >= limit_of(after, task.timeout)]
        if not late:
            return None
        longest = max(late, key=lambda task: task.seconds or 0.0)
        doing = waits(longest, self.snapshot(with_partitions=False))
        return TasksSight(
            place, len(late), clipped(longest.task_id), longest.offset, longest.seconds or 0.0, doing
        )

    @property
    def epoch(self) -> float:
        """Added to the loop's time it gives the time of day."""
        return time.time() - asyncio.get_running_loop().time()

    @property
    def state(self) -> str:
        source = self.source
        if source is None:
            return "starting"
        if self.ending is not None:
            return "ending"
        if source.poller.stopping:
            return "draining"
        return "running" if source.assignment.ready.is_set() else "joining"

    def counts(self) -> dict[str, int]:
        """What happened since the start that is not the rule; results that came late were dropped."""
        source = self.source
        if source is None:
            return {}
        return {
            "late_results": source.dispatcher.late,
            "possible_duplicate_calls": source.dispatcher.possible_duplicates,
            "parked": source.dispatcher.parked,
            "strays": self.strays(),
        }

    def snapshot(self, *, with_partitions: bool = True) -> WorkerSnapshot:
        """All that there is to tell."""
        source, sink = self.source, self.sink
        partitions = list(source.partitions.items()) if source is not None else []
        now, epoch = asyncio.get_running_loop().time(), self.epoch
        known = source is not None
        found = WorkerSnapshot(
            topology=self.topology,
            client_id=self.client_id,
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
            uptime=time.monotonic() - self.began,
            memory_bytes=memory(),
            loop_lag=self.lag,
            delivery=self.settings.delivery,
            group=self.group,
            member_id=adapter.member_id(source.consumer) if source is not None else None,
            generation=adapter.generation(source.consumer) if source is not None else None,
            input=self.topics[0],
            output=self.topics[1],
            state=self.state,
            busy=self.slots.active,
            concurrency=self.slots.limit,
            outstanding=outstanding(partition for _, partition in partitions) if known else 0,
            outstanding_limit=self.settings.outstanding_limit,
            unwritable=sink.complaint.why if sink is not None else None,
            quarantined=source.quarantine.active if source is not None else False,
            healthy=not self.dog.troubles,
            problems=(*self.dog.troubles.values(), *self.dog.outages.values()),
            stuck=tuple(self.dog.stuck.values()),
            warnings=self.warnings.recent(),
            counts=self.counts(),
        )
        if not with_partitions:
            return found
        seen = [
            partition_snapshot(partition, (self.end_of(tp) or (None,))[0], now, epoch)
            for tp, partition in partitions
        ]
        return replace(found, partitions=tuple(replace(each, why=why(each, found)) for each in seen))


def memory() -> int | None:
    """The bytes that this process holds, where the system tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
