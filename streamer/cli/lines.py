"""JSON Lines: read, judged, and made records of."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from streamer.errors import SettingsError

PIECE = 65_536
STDIN = "-"


class WrongLine(SettingsError):
    """A line that can't be sent; the sentence has its number."""


def check_file(file: str, key: str | None) -> None:
    """Judge all lines of a file before the first is sent; standard input or a pipe can be read only once."""
    if flows(file):
        return
    try:
        with Path(file).open("rb") as opened:
            for number, line in enumerate(opened, 1):
                if line.strip():
                    record(file, number, line, key)
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}.") from error


def there(file: str) -> None:
    """A SettingsError where it is not, before anything is made for it."""
    try:
        if file != STDIN:
            Path(file).stat()
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}.") from error


def flows(file: str) -> bool:
    """Whether it comes as it comes, and only once."""
    path = Path(file)
    return file == STDIN or path.is_fifo() or path.is_char_device()


def record(file: str, number: int, line: bytes, key: str | None) -> tuple[bytes | None, bytes]:
    """A line's key and value."""
    name = "standard input" if file == STDIN else file
    value = line.strip()
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongLine(
            f"{name}, line {number}: not JSON ({error}). Each line is one JSON object, without line breaks in it."
        ) from error
    if key is None:
        return None, value
    try:
        return field(found, key), value
    except LookupError as error:
        raise WrongLine(
            f"{name}, line {number}: no key: {error.args[0]}. --key names a field that every line has, such as id."
        ) from error


def field(found: Any, path: str) -> bytes:
    """The text of a field, by its path of names with dots between; LookupError says what is wrong with it."""
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            raise LookupError(f"there is no field {path!r}")
        found = found[name]
    if found is None or isinstance(found, dict | list):
        raise LookupError(f"{path!r} is {'null' if found is None else 'not a text or a number'}")
    return found.encode() if isinstance(found, str) else msgspec.json.encode(found)


async def lines(file: str, limit: int | None = None) -> AsyncIterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers, as they come; of one longer than ``limit`` its beginning."""
    number = 0
    rest = b""
    source, waits = 0 if file == STDIN else os.open(file, os.O_RDONLY), flows(file)
    try:
        while True:
            piece = await read(source) if waits else os.read(source, PIECE)
            whole = (rest + piece).split(b"\n")
            rest = whole.pop() if piece else b""
            if limit is not None and len(rest) > limit:
                rest = rest[: limit + 1]
            for line in whole:
                number += 1
                if line.strip():
                    yield number, line if limit is None else line[: limit + 1]
            if not piece:
                return
    finally:
        if source:
            os.close(source)


async def read(source: int) -> bytes:
    """What standard input has next, in a thread that an interrupted program need not wait for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bytes] = loop.create_future()

    def deliver(piece: bytes) -> None:
        if not future.done():
            future.set_result(piece)

    def wait() -> None:
        try:
            piece = os.read(source, PIECE)
        except OSError:
            piece = b""
        try:
            loop.call_soon_threadsafe(deliver, piece)
        except RuntimeError:
            return  # the loop is closed: nobody waits

    threading.Thread(target=wait, daemon=True).start()
    return await future
