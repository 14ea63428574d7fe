"""Answers a file of tasks, from the first line without an answer until the last, or a signal."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from streamer.cli.answered import Progress, places
from streamer.cli.bar import EVERY, bar
from streamer.cli.ending import end_anyway, leave_now
from streamer.cli.keeping import Keeper
from streamer.cli.lines import STDIN, lines, there
from streamer.cli.tally import INTERRUPTED, Tally
from streamer.decoding import Decoder
from streamer.errors import InvalidTask, SettingsError, StreamerError
from streamer.limits import Limit
from streamer.operators import concurrent_map
from streamer.results import Result
from streamer.settings import Settings
from streamer.streams import intake
from streamer.topology import Topology

GC_ALLOCATIONS = 20_000
Line = tuple[int, bytes]


class Batch:
    """One run over a file.

    Invariant: what is kept is whole; a line that was begun and has no result when this ends is as good as new.
    """

    def __init__(self, topology: Topology, settings: Settings, file: str, output: str) -> None:
        self.file = file
        self.output = output
        self.limit = settings.max_message_bytes
        self.patience = settings.drain_timeout
        self.slots = Limit(settings.concurrency)
        self.engine = topology.engine(self.slots)
        self.decoder = Decoder(topology.task_type, self.limit)
        self.loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = self.loop.create_future()
        self.asked = asyncio.Event()
        self.quiet = asyncio.Event()
        self.stopping = False
        self.active = 0
        self.size = 0
        """Bytes of the lines that are done."""
        self.began = time.monotonic()
        self.before = 0
        """Lines that were done by an earlier run."""

    async def run(self) -> int:
        """The exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self.loop.add_signal_handler(number, self.received)
        there(self.file)
        found = places(self.file, self.output)
        progress = None
        if found is not None and self.file != STDIN:
            progress = Progress(*found)
            progress.take_up()
            await progress.check(self.file, self.limit)
        elif found is not None and found[0].exists() and found[0].stat().st_size:
            raise SettingsError(
                f"{self.output} is not empty, and of standard input nobody can say which tasks it answers. Name "
                "another --output, or move it away."
            )
        self.keeper = Keeper(found, progress, self.fail)
        self.before = len(self.keeper.answered)
        gc.freeze()  # a task's objects go by themselves, so the collector may look seldom
        gc.set_threshold(GC_ALLOCATIONS, 20, 50)
        with bar(self.file, self.output) as show:
            ticking = self.loop.create_task(self.tick(show)) if show is not None else None
            try:
                await self.answer_all()
            finally:
                if ticking is not None:
                    ticking.cancel()
                self.keeper.close()
                await self.engine.providers.close()
        self.finished.result()
        tally = self.tally
        print(tally.summary, file=sys.stderr)
        end_anyway(tally.code, self.loop)
        return tally.code

    async def answer_all(self) -> None:
        """Until the last line has its answer, or what runs had its time after a signal."""
        answer, found = intake(self.engine.answer, self.answer, self.read())
        subscription = concurrent_map(answer, self.slots)(found).subscribe(
            self.answered, self.fail, self.complete
        )
        asked = self.loop.create_task(self.asked.wait())
        await asyncio.wait((self.finished, asked), return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not self.finished.done():
            self.stopping = True
            print(
                f"interrupted: beginning no more; what runs ({self.active}) has {self.patience:g} s to end",
                file=sys.stderr,
            )
            await self.silence(self.patience)
        self.stopping = self.stopping or bool(self.active)
        subscription.dispose()
        await self.silence(self.engine.cancel_grace)
        if not self.finished.done():
            self.finished.set_result(None)

    async def silence(self, seconds: float) -> None:
        """Wait until nothing runs, at most so long."""
        if self.active:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.quiet.wait(), seconds)

    # --- lines

    async def read(self) -> AsyncGenerator[Line]:
        """The lines without an answer."""
        done = self.keeper.answered
        try:
            async for number, line in lines(self.file, self.limit):
                if self.stopping:
                    return
                if number in done:
                    self.size += len(line) + 1
                else:
                    yield number, line
        except OSError as error:
            raise SettingsError(f"{self.file} can't be read: {error.strerror}.") from error

    async def answer(self, item: Line) -> tuple[Line, Result | InvalidTask] | None:
        """A line's Result, or what is wrong with it; None if it was not begun."""
        if self.stopping:
            return None
        number, line = item
        self.active += 1
        try:
            return item, await self.outcome(number, line)
        finally:
            self.active -= 1
            if not self.active and self.stopping:
                self.quiet.set()

    async def outcome(self, number: int, line: bytes) -> Result | InvalidTask:
        if len(line) > self.limit:
            return InvalidTask("too_large", f"The line has more than {self.limit} bytes (max_message_bytes).")
        try:
            task: Any = self.decoder.decode(line)
        except InvalidTask as problem:
            return problem
        return await self.engine.run(task, task_id=getattr(task, "id", None) or f"line-{number}")

    # --- the observer

    def answered(self, item: tuple[Line, Result | InvalidTask] | None) -> None:
        if item is None:
            return
        (number, line), outcome = item
        self.size += len(line) + 1
        if isinstance(outcome, Result):
            self.keeper.result(number, line, outcome)
        else:
            self.keeper.dead_letter(number, line, outcome)

    def fail(self, error: Exception) -> None:
        if not self.finished.done():
            self.finished.set_exception(error)

    def complete(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)

    # --- signals and words

    def received(self) -> None:
        """The first signal asks to stop; the second ends the process."""
        if self.asked.is_set():
            leave_now(INTERRUPTED)
        self.asked.set()

    async def tick(self, show: Any) -> None:
        while True:
            show(self.size, self.tally.words)
            await asyncio.sleep(EVERY)

    @property
    def tally(self) -> Tally:
        keeper = self.keeper
        return Tally(
            counts=tuple(keeper.answered.counts),
            before=self.before,
            dead_letters=str(keeper.places[1]) if keeper.places is not None else None,
            stopped=self.stopping,
            resumable=keeper.progress is not None,
            seconds=time.monotonic() - self.began,
        )


async def answer_file(topology: Topology, settings: Settings, file: str, output: str) -> int:
    """The exit code of a batch."""
    try:
        return await Batch(topology, settings, file, output).run()
    except OSError as error:
        raise StreamerError(f"{file}: {error.strerror or error}.") from error
