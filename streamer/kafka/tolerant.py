"""A second reading of what aiokafka can't parse: header names that are no UTF-8, which broker and protocol let through.

aiokafka's parser raises there. The worker would end, meet the record again after every start, and lose count of
what the same poll had taken from other partitions. Kept beside `adapter`: internals of aiokafka, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy
from aiokafka.record.util import decode_varint_py

from streamer.kafka.headers import Garbled

# mypy: disable-error-code="misc,no-untyped-call,has-type,attr-defined"


class Replaced(str):
    """A name with replacement characters for what could not be decoded."""

    __slots__ = ()


class Name(bytearray):
    """Decodes whatever it holds."""

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        try:
            return super().decode(encoding)
        except UnicodeDecodeError:
            return Replaced(super().decode(encoding, errors))


class Bytes(bytearray):
    """A slice of it may be a name."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return Name(found) if isinstance(at, slice) else found


class TolerantBatch(_DefaultRecordBatchPy):
    """Reads any header name."""

    def _maybe_uncompress(self) -> None:
        if not self._decompressed:
            super()._maybe_uncompress()
            self._buffer = Bytes(self._buffer)

    def _read_msg(self, decode_varint: Any = decode_varint_py) -> Any:
        return super()._read_msg(decode_varint)


class Fetched:
    """What one fetch brought for a partition: as aiokafka's ``MemoryRecords``, but it can be read again."""

    __slots__ = ("data", "has_next", "next_batch", "size_in_bytes")

    def __init__(self, data: bytes) -> None:
        records = MemoryRecords(data)
        self.data = data
        self.has_next = records.has_next
        self.next_batch = records.next_batch
        self.size_in_bytes = records.size_in_bytes


class Again:
    """The same from the batch on that holds an offset, read tolerantly."""

    def __init__(self, data: bytes, offset: int) -> None:
        self.batches = deque(batch for batch in batches(data) if batch.next_offset > offset)

    def has_next(self) -> bool:
        return bool(self.batches)

    def next_batch(self) -> TolerantBatch:
        return self.batches.popleft()


def batches(data: bytes) -> Iterator[TolerantBatch]:
    """All of a fetch; behind one with headers stands none of a format without."""
    slices = _MemoryRecordsPy(data)
    while (held := slices._next_slice) is not None:  # noqa: SLF001
        slices._cache_next()  # noqa: SLF001
        yield TolerantBatch(held)


class Records(fetcher.PartitionRecords):
    """Yields a partition's records; what can't be parsed is read once more, tolerantly."""

    def __next__(self) -> Any:
        try:
            return next(self._records_iterator)
        except StopIteration:
            self._records_iterator = None
            raise
        except (UnicodeDecodeError, CorruptRecordException) as error:
            if not isinstance(error.__cause__ or error, UnicodeDecodeError):
                raise
        # what was yielded of the batch is below this offset, and passed over
        self._records = Again(self._records.data, self.next_fetch_offset)
        self._records_iterator = self._unpack_records()
        self._consumer_record = self.marked
        return next(self)

    def marked(self, tp: TopicPartition, record: Any) -> Any:
        """A record that says so if its headers are not what they were."""
        found = super()._consumer_record(tp, record)
        if not any(type(name) is Replaced for name, _ in found.headers):
            return found
        return replace(found, headers=Garbled((str(name), value) for name, value in found.headers))


def install() -> None:
    """Let consumers of this process read so; what could be read before is read as before."""
    fetcher.MemoryRecords, fetcher.PartitionRecords = Fetched, Records
