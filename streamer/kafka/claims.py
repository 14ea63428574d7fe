"""Where values wait that are too large for the broker: a directory, or an address that fsspec can reach."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from streamer.errors import SettingsError, StreamerError

CLAIM = "streamer-claim-check"
"""The header that says where a value is."""
LARGEST = 67_108_864
"""Bytes of a value that is still read."""
NAME = re.compile(r"(?!.*\.\.)\w[\w.=+-]*(/\w[\w.=+-]*)*", re.ASCII)


class ClaimRefused(StreamerError):
    """A location that is none of this store's, or a value that is too large to be read."""


class Store(Protocol):
    """Keeps values by name. Its methods block, and are called in threads."""

    def put(self, name: str, data: bytes) -> str:
        """Write all of it or nothing; the location."""
        ...

    def get(self, location: str) -> bytes:
        """What was written; :class:`ClaimRefused` where the location is not below this store's own."""
        ...


def open_store(where: str) -> Store:
    """The store at a path or URL; a SettingsError where there is none."""
    if where.startswith("file://"):
        return Directory(unquote(urlsplit(where).path))
    return Remote(where) if "://" in where else Directory(where)


class Directory:
    """Files below a directory that producers, workers and consumers share."""

    def __init__(self, root: str) -> None:
        self.root = Path(root).absolute()
        if not self.root.is_dir() or not os.access(self.root, os.W_OK | os.X_OK):
            raise SettingsError(
                f"claim_check: {root} is no directory that can be written to. Make it, or mount it, first."
            )

    def put(self, name: str, data: bytes) -> str:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{uuid4().hex}.part")
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)
        synced(target.parent)
        return str(target)

    def get(self, location: str) -> bytes:
        try:
            path = (self.root / location).resolve()
            inside = path.is_relative_to(self.root.resolve())
        except (ValueError, RuntimeError, OSError):  # a null byte, a loop of links, a name too long
            inside = False
        if not inside:
            raise ClaimRefused(f"{location[:300]!r} is not below {self.root}")
        if not path.is_file():
            raise FileNotFoundError(f"{path} is no file")
        too_large(location, path.stat().st_size)
        return path.read_bytes()


class Remote:
    """Objects below a URL such as ``s3://bucket/claims``; writing one is atomic there."""

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise SettingsError(
                f'claim_check: {url} needs fsspec: pip install "streamer[claim-check]"'
            ) from error
        self.url = url.rstrip("/")
        try:
            self.files: Any
            self.files, self.path = url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise SettingsError(f"claim_check: {url} can't be reached: {error}") from error

    def put(self, name: str, data: bytes) -> str:
        self.files.pipe_file(f"{self.path}/{name}", data)
        return f"{self.url}/{name}"

    def get(self, location: str) -> bytes:
        name = location.removeprefix(f"{self.url}/")
        if NAME.fullmatch(name) is None:  # neither another address nor a way out of this one
            raise ClaimRefused(f"{location[:300]!r} is not below {self.url}")
        path = f"{self.path}/{name}"
        too_large(location, self.files.size(path) or 0)
        data: bytes = self.files.cat_file(path)
        return data


def too_large(location: str, size: int) -> None:
    if size > LARGEST:
        raise ClaimRefused(f"{location} has {size} bytes; at most {LARGEST} are read")


def synced(directory: Path) -> None:
    """See that a file's name survives a power cut, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
