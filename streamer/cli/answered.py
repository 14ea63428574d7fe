"""Which lines of a file of tasks have their results in another: what a batch takes up from."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from streamer.cli.lines import STDIN, lines
from streamer.errors import SettingsError, StreamerError
from streamer.results import Status

HEAD = b"streamer-batch-progress-1\n".ljust(32)
ENTRY = Struct("<QQQQ")
"""A line's number and digest, which outcome it had, and where what was written of it ends in its file."""
OUTCOMES = (*Status, "dead letter")
DEAD_LETTER = len(OUTCOMES) - 1
PIECE = 2_048 * ENTRY.size
WHOLE = 2**64


class Entry(NamedTuple):
    """One line that is done."""

    line: int
    digest: int
    outcome: int
    end: int


class Answered:
    """The lines that are done: a bit of each, and the sum of their digests, so that a million take 125 kB.

    Invariants: a line is added once; the first line is 1.
    """

    def __init__(self) -> None:
        self.bits = bytearray()
        self.counts = [0] * len(OUTCOMES)
        self.sum = self.last = 0

    def __contains__(self, line: int) -> bool:
        byte = line >> 3
        return byte < len(self.bits) and bool(self.bits[byte] & 1 << (line & 7))

    def __len__(self) -> int:
        return sum(self.counts)

    def add(self, entry: Entry) -> None:
        byte = entry.line >> 3
        if byte >= len(self.bits):
            self.bits.extend(bytes(byte + 1 - len(self.bits) + 1_024))
        self.bits[byte] |= 1 << (entry.line & 7)
        self.counts[entry.outcome] += 1
        self.sum = (self.sum + entry.digest) % WHOLE
        self.last = max(self.last, entry.line)


def digest(number: int, line: bytes) -> int:
    """What tells a line at its place from every other."""
    return int.from_bytes(blake2b(line.strip(), digest_size=8, salt=number.to_bytes(8, "little")).digest())


class Progress:
    """The file beside the results that says which lines they answer, kept by one process at a time.

    It is written after what it speaks of: an entry whose result is not whole in its file does not count, and
    nothing behind it.
    """

    def __init__(self, output: Path, dead_letters: Path) -> None:
        self.path = output.with_name(f"{output.name}.progress")
        self.files = (output, dead_letters)
        self.ends = [0, 0]
        self.answered = Answered()
        try:
            self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise SettingsError(f"{self.path} can't be written: {error.strerror}.") from error
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self.file)
            raise SettingsError(f"Another batch writes to {output}; {self.path} is locked.") from error

    def take_up(self) -> None:
        """Learn what is done, and cut off what a crash left behind that."""
        sizes = [file.stat().st_size if file.exists() else 0 for file in self.files]
        if os.fstat(self.file).st_size < len(HEAD):
            for file, size in zip(self.files, sizes, strict=True):
                if size:
                    raise SettingsError(
                        f"{file} is not empty, and nothing beside it says which tasks it answers. Name another "
                        "--output, or move it away."
                    )
            os.ftruncate(self.file, 0)
            os.write(self.file, HEAD)
            return
        if os.pread(self.file, len(HEAD), 0) != HEAD:
            raise SettingsError(
                f"{self.path} is of another version of Streamer, or not its file. Move it away."
            )
        kept = len(HEAD)
        for entry in self.entries():
            place = entry.outcome == DEAD_LETTER
            if entry.end <= self.ends[place] or entry.end > sizes[place] or entry.line in self.answered:
                break
            self.ends[place] = entry.end
            self.answered.add(entry)
            kept += ENTRY.size
        os.ftruncate(self.file, kept)
        for file, end, size in zip(self.files, self.ends, sizes, strict=True):
            if size > end:
                os.truncate(file, end)
            if end and not ends_a_line(file):
                raise SettingsError(
                    f"{file} was changed since; nothing can be added to it. Name another --output."
                )

    def entries(self) -> Iterator[Entry]:
        """What is written, up to what is not whole."""
        place = len(HEAD)
        while piece := os.pread(self.file, PIECE, place):
            for found in ENTRY.iter_unpack(piece[: len(piece) // ENTRY.size * ENTRY.size]):
                entry = Entry(*found)
                if not entry.line or entry.outcome >= len(OUTCOMES):
                    return
                yield entry
            place += len(piece)

    async def check(self, file: str, limit: int) -> None:
        """See that the lines that are done are those of this file."""
        seen = found = 0
        if self.answered:
            async for number, line in lines(file, limit):
                if number in self.answered:
                    seen += 1
                    found = (found + digest(number, line)) % WHOLE
                if number >= self.answered.last:
                    break
        if seen != len(self.answered) or found != self.answered.sum:
            raise SettingsError(
                f"{file} was changed since {self.files[0]} was begun: lines that are answered there are others now. "
                "Lines may only be added at the end. Name another --output to begin anew."
            )

    def close(self) -> None:
        os.close(self.file)


def ends_a_line(file: Path) -> bool:
    with file.open("rb") as opened:
        opened.seek(-1, os.SEEK_END)
        return opened.read() == b"\n"


def places(file: str, output: str) -> tuple[Path, Path] | None:
    """Where results and dead letters go; None for standard output. Refused is what would overwrite something."""
    if output == STDIN:
        return None
    path = Path(output)
    if file != STDIN and path.exists() and path.samefile(file):
        raise SettingsError(f"--input and --output are the same file, {output}.")
    if path.is_dir() or not path.parent.is_dir():
        what = "is a directory" if path.is_dir() else f"can't be made: there is no directory {path.parent}"
        raise SettingsError(f"{output} {what}.")
    if path.exists() and not path.is_file():
        raise SettingsError(
            f"--output: {output} is no regular file, of which to take up what is there; - is standard output."
        )
    return path, path.with_name(f"{path.name.removesuffix('.jsonl')}.dead-letters.jsonl")


def write(file: int, data: bytes | bytearray) -> None:
    """All of it."""
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(file, left) :]
    except OSError as error:
        raise StreamerError(f"The results can't be written: {error.strerror}.") from error
