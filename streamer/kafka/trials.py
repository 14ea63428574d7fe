"""After a crash: suspects one at a time, and nothing else until they have shown what they do."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from streamer.kafka.committer import Committing
from streamer.kafka.metadata import Trial
from streamer.kafka.partition import Partition
from streamer.kafka.quarantine import Quarantine, accusation, charge, foremost, trial_time
from streamer.kafka.record import ADMITTED, RUNNING, Record

LOOK = 0.005
PATIENCE = 2.0
"""Seconds in which the accused has to be delivered, else others are tried before."""


class Trials:
    """Takes suspects, and while there are any everything else, and lets them run as the quarantine says.

    What is on trial is committed before it begins: after the next crash it is known who was alone.
    """

    def __init__(
        self,
        quarantine: Quarantine,
        committer: Committing,
        partitions: Callable[[], Iterable[Partition]],
        send: Callable[[Record], None],
        occupied: Callable[[], int],
    ) -> None:
        self.quarantine = quarantine
        self.committer = committer
        self.partitions = partitions
        self.send = send
        self.count = occupied
        self.loop = asyncio.get_running_loop()
        self.suspects: deque[Record] = deque()
        self.held: deque[Record] = deque()
        self.running: asyncio.Task[None] | None = None
        self.watched: Record | None = None
        self.own: Trial | None = None
        """The last trial held here; whoever an owner before accused may still have to be delivered."""
        quarantine.join(self)

    @property
    def suspicious(self) -> bool:
        """Whether there are suspects that were not tried yet, or are not even known."""
        return bool(self.suspects or self.watched) or any(p.expects_suspects for p in self.partitions())

    @property
    def occupied(self) -> int:
        """How many tasks run, or are on their way to: what was sent before there were suspects is not called back."""
        return self.count()

    def take(self, record: Record) -> bool:
        """Whether it is kept here for now."""
        if record.restarted and record.partition.suspicion.crashed:
            self.suspects.append(record)
            self.quarantine.review()  # it may come once more, or have waited behind its key, when all were tried
        elif self.quarantine.active:
            self.held.append(record)
        else:
            return False
        if self.running is None or self.running.done():
            self.running = self.loop.create_task(self.run())
        return True

    async def run(self) -> None:
        """Try what is suspect, then let the rest go."""
        while self.quarantine.active:
            async with self.quarantine.turn:
                while self.suspects:
                    await self.attempt(await self.first())
                # Until then it is watched: who begins now and crashes would be charged to the one called alone.
                await self.write(None, None)
                self.watched = None
            self.quarantine.review()
            if self.quarantine.active and not self.suspects:
                await asyncio.sleep(LOOK)
        while self.held:
            self.send(self.held.popleft())

    @property
    def expects_accused(self) -> bool:
        """Whether an owner before accused somebody who was not delivered yet."""
        return any(
            partition.expects_suspects and partition.suspicion.trial not in (None, self.own)
            for partition in self.partitions()
        )

    async def first(self) -> Record:
        """The accused, which is waited for; else the one that came first."""
        await until(lambda: any(map(accusation, self.suspects)) or not self.expects_accused, PATIENCE)
        record = foremost(self.suspects)
        self.suspects.remove(record)
        return record

    async def attempt(self, record: Record) -> None:
        """Let one run, and watch it for a while."""
        if record.state is not ADMITTED:  # it was let go
            self.send(record)
            return
        partition = record.partition
        self.watched = record
        patience = trial_time(partition.suspicion.level, sum(p.suspicion.suspects for p in self.partitions()))
        if accusation(record) is not None:
            patience = None
        if patience is None:
            await until(lambda: not self.quarantine.occupied or record.state is not ADMITTED)
        await self.write(partition, charge(record, occupied=self.quarantine.occupied))
        self.send(record)
        await until(lambda: record.state is not ADMITTED)
        await until(lambda: record.state is not RUNNING, patience)

    async def write(self, accused: Partition | None, trial: Trial | None) -> None:
        """Commit who is on trial, and that nobody else is."""
        self.own = trial
        for partition in self.partitions():
            partition.put_on_trial(trial if partition is accused else None)
        while any(p.is_open and not p.checkpoint.tells(p.suspicion.trial) for p in self.partitions()):
            self.committer.hurry()
            await self.committer.turns.wait()

    def close(self) -> None:
        """Nothing is tried any more."""
        if self.running is not None:
            self.running.cancel()
        self.quarantine.leave(self)


async def until(condition: Callable[[], bool], seconds: float | None = None) -> None:
    """Wait for it, at most so long; by looking, for after a crash nothing here is in a hurry."""
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    while not condition() and (end is None or loop.time() < end):  # noqa: ASYNC110 - see above
        await asyncio.sleep(LOOK)
