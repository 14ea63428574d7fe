"""Where a batch's results and dead letters go, and then the word that they are there."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from streamer.cli.answered import DEAD_LETTER, ENTRY, OUTCOMES, Answered, Entry, Progress, digest, write
from streamer.errors import InvalidTask, SettingsError
from streamer.kafka.encoding import encoded
from streamer.results import Encoder, Result

SYNC_EVERY = 5.0
"""Seconds after which a power cut would take no more; a crash of the process alone takes nothing that was written."""
STDOUT = 1
INDEX = {outcome: index for index, outcome in enumerate(OUTCOMES)}


class Keeper:
    """Writes what came in one turn of the loop at once: results, dead letters, then the progress.

    ``places`` are the two files, None standard output, where dead letters are sentences on standard error. Without
    ``progress`` nothing can be taken up. ``failed`` is told what can't be written.

    Invariants: the progress never speaks of what is not written; behind what could not be written comes nothing.
    """

    def __init__(
        self,
        places: tuple[Path, Path] | None,
        progress: Progress | None,
        failed: Callable[[Exception], object],
    ) -> None:
        self.places = places
        self.progress = progress
        self.failed = failed
        self.loop = asyncio.get_running_loop()
        self.encoder = Encoder()
        self.answered = progress.answered if progress is not None else Answered()
        self.ends = progress.ends if progress is not None else [0, 0]
        self.files: dict[int, int] = {} if places is not None else {0: STDOUT}
        self.waiting = [bytearray(), bytearray()]
        self.entries = bytearray()
        self.scheduled = self.broken = False
        self.synced = self.loop.time()
        if places is not None:
            self.file(0)

    def result(self, number: int, line: bytes, result: Result) -> None:
        """A line has its result."""
        result, data = encoded(self.encoder, result)
        self.keep(0, number, line, INDEX[result.status], data)

    def dead_letter(self, number: int, line: bytes, problem: InvalidTask) -> None:
        """A line is no task."""
        if self.places is None:
            print(f"line {number}: {problem.reason}: {problem}", file=sys.stderr)
            self.keep(None, number, line, DEAD_LETTER, b"")
            return
        letter = {
            "line": number,
            "reason": problem.reason,
            "message": str(problem),
            "task_id": problem.task_id,
            "value": str(line, "utf-8", "replace"),
        }
        self.keep(1, number, line, DEAD_LETTER, msgspec.json.encode(letter))

    def keep(self, place: int | None, number: int, line: bytes, outcome: int, data: bytes) -> None:
        if place is not None:
            self.waiting[place] += data + b"\n"
            self.ends[place] += len(data) + 1
        if self.progress is None:
            self.answered.counts[outcome] += 1
        else:
            entry = Entry(number, digest(number, line), outcome, self.ends[place or 0])
            self.answered.add(entry)
            self.entries += ENTRY.pack(*entry)
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits."""
        self.scheduled = False
        if self.broken:
            return
        try:
            for place, data in enumerate(self.waiting):
                if data:
                    write(self.file(place), data)
                    self.waiting[place] = bytearray()
            if self.progress is not None and self.entries:
                if self.loop.time() - self.synced > SYNC_EVERY:
                    self.sync()
                write(self.progress.file, self.entries)
                self.entries = bytearray()
        except Exception as error:
            self.broken = True  # half of it may be there: what comes behind would be at no known place
            self.failed(error)

    def file(self, place: int) -> int:
        """A file, open at its end."""
        file = self.files.get(place)
        if file is None:
            assert self.places is not None
            try:
                file = os.open(self.places[place], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            except OSError as error:
                raise SettingsError(f"{self.places[place]} can't be written: {error.strerror}.") from error
            self.files[place] = file
        return file

    def sync(self) -> None:
        """What was written outlives the machine's next power cut."""
        for file in self.files.values():
            os.fsync(file)
        self.synced = self.loop.time()

    def close(self) -> None:
        """Write what waits, and close the files."""
        self.flush()
        if self.places is not None:
            if not self.broken:
                self.sync()
            for file in self.files.values():
                os.close(file)
        if self.progress is not None:
            self.progress.close()
