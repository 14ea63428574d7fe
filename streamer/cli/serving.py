"""Runs the workers of one process, from the first connection until a signal or a fatal error."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from typing import Any

from aiokafka.errors import KafkaError

from streamer.cli.announcement import Announce
from streamer.cli.ending import end_anyway, leave_now
from streamer.cli.planning import Plan
from streamer.errors import StreamerError
from streamer.kafka.quarantine import Quarantine
from streamer.kafka.topics import Unreachable, explained
from streamer.providers import default_registry
from streamer.worker import Worker

log = logging.getLogger("streamer")
FATAL = 1
GC_ALLOCATIONS = 20_000
INTERRUPTED = 130


class Signals:
    """SIGTERM and SIGINT ask for a drain; another SIGINT ends the process at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asked = asyncio.Event()
        self.first: signal.Signals | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.received, number)

    def received(self, number: signal.Signals) -> None:
        if self.first is None:
            self.first = number
            self.asked.set()
        elif number == signal.SIGINT:
            log.warning("interrupted again: ending at once; what was running will be run again")
            leave_now(INTERRUPTED)


async def serve(plans: list[Plan], *, create_missing: bool, announce: Announce) -> int:
    """Run the plans; the exit code. ``announce`` is told once when all have their partitions."""
    loop = asyncio.get_running_loop()
    gc.freeze()  # what was imported stays; and a task's objects go by themselves, so the collector may look seldom
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)
    signals = Signals(loop)
    asked = loop.create_task(signals.asked.wait())
    quarantine = Quarantine()
    workers = [worker(plan, quarantine) for plan in plans]
    running: list[Worker] = []
    starting = loop.create_task(start(workers, running, create_missing))
    await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
    try:
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
        elif (error := starting.exception()) is not None:
            raise error
        else:
            ends: list[asyncio.Future[Any]] = [worker.sink.finished for worker in running]
            if not any(end.done() for end in ends):
                announce("ready: " + "; ".join(said(worker) for worker in running))
            ends.append(asked)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        announce.withdraw()
        code = await stop(running, signals)
        end_anyway(code, loop)
    return code


def worker(plan: Plan, quarantine: Quarantine | None = None) -> Worker:
    """A worker that tells the log what whoever is on call should know."""
    return Worker(
        plan.topology,
        plan.settings,
        plan.connection,
        quarantine=quarantine,
        warn=logging.getLogger(plan.topology.name).warning,
    )


async def start(workers: list[Worker], running: list[Worker], create_missing: bool) -> None:
    """Start all and wait for their partitions; those that began are in ``running``."""
    try:
        for worker in workers:
            await worker.start(create_missing=create_missing)
            running.append(worker)
    except (KafkaError, OSError) as error:
        raise Unreachable(explained(worker.connection, error)) from error
    for worker in running:
        await worker.ready()


async def stop(running: list[Worker], signals: Signals) -> int:
    """Drain all; the exit code."""
    code = 0
    for worker in running:
        finished = worker.sink.finished
        if finished.done() and (error := finished.exception()) is not None:
            code = FATAL
            what = str(error) if isinstance(error, StreamerError) else f"{type(error).__name__}: {error}"
            log.critical("topology %s failed: %s", worker.topology.name, what, exc_info=trace(error))
    if running:
        patience = max(worker.settings.drain_timeout for worker in running)
        why = signals.first.name if signals.first else "after the failure"
        log.info("draining (%s): taking no more, finishing what runs, at most %g s", why, patience)
        await asyncio.gather(*(worker.stop() for worker in running))
        await default_registry.close()
        log.info("stopped")
    return code or (INTERRUPTED if signals.first == signal.SIGINT else 0)


def trace(error: BaseException) -> BaseException | None:
    """The traceback, for whoever asked for them."""
    return error if logging.getLogger("aiokafka").isEnabledFor(logging.INFO) else None


def said(worker: Worker) -> str:
    """One topology of the ready line."""
    count = len(worker.source.partitions)
    return (
        f"topology {worker.topology.name}, {worker.input} -> {worker.output}, group {worker.group}, "
        f"{count} partition{'' if count == 1 else 's'}"
    )
