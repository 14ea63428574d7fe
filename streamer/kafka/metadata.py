"""The text that travels with a committed offset: which offsets above it are finished."""

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from streamer.kafka.ledger import Interval

LIMIT = 4096
"""Characters that a broker takes (`offset.metadata.max.bytes`, which counts characters)."""

_MAGIC = "str"
_VERSION = "2"  # a reader accepts its own version and the version before
_HEAD = Struct(">8s8sQ8sB")  # cluster, topic, frontier, nonce, kind of payload
_MARKS = Struct(">IBIBBQ")  # reach and trial as distances from the frontier; flags, crashes, level; low water
_LEFT, _ON_TRIAL, _ALONE, _LOW_WATER, _MOVED, _BEGAN = 1, 2, 4, 8, 16, 32
_FARTHEST = 2**32 - 1
_CHECKSUM = 4
_CAPACITY = (LIMIT - 4) // 4 * 3 - _HEAD.size - _MARKS.size - _CHECKSUM
_RUNS, _BITS = 0, 1
_HIGHEST = 2**63 - 1
_MOST_UNFINISHED = 2**17  # five times what a ledger lets in: each one costs memory, unlike a finished one

BITS = _CAPACITY * 8
"""So many offsets above the frontier always fit, whatever is finished among them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The log that offsets belong to: a topic made anew under its old name has another one."""

    cluster_id: str
    topic_id: str

    @property
    def digests(self) -> tuple[bytes, ...]:
        names = (self.cluster_id.encode(), self.topic_id.encode())
        return tuple(blake2b(name, digest_size=8).digest() for name in names)


class Trial(NamedTuple):
    """A suspect that was let run: by itself if ``alone``; ``crashes`` counts how often that took its worker down."""

    offset: int
    crashes: int = 0
    alone: bool = False


class Marks(NamedTuple):
    """What a commit says besides what is finished.

    The writer began nothing at or above ``reach``; what is unfinished below it, it may have. ``left``: it left in
    good order, so that nothing of that is suspect; ``moved``: its frontier has moved since it opened, ``began``:
    it has begun something since. ``trial`` and ``level`` are those of `Quarantine`. The journal has what is still needed from ``low_water`` on.
    """

    reach: int
    left: bool = False
    trial: Trial | None = None
    level: int = 0
    low_water: int | None = None
    moved: bool = False
    began: bool = False


class Restored(NamedTuple):
    """What a commit says: finished offsets above the frontier as intervals, in order, apart from each other.

    With a `reason`, a short sentence, it is the frontier only: the text said nothing that may be believed.
    """

    frontier: int
    finished: tuple[Interval, ...] = ()
    nonce: bytes = b""
    reason: str | None = None
    topic_made_anew: bool = False
    """The commit is of an older topic of this name, in this cluster: its offset says nothing of the new one."""
    marks: Marks | None = None
    """What else it says; None where nothing may be believed, or its version did not say."""


def encode(
    identity: Identity,
    frontier: int,
    position: int,
    holes: Sequence[int],
    nonce: bytes,
    marks: Marks | None = None,
) -> str:
    """The finished offsets from `frontier`, which is unfinished, to `position`: all but `holes`, in order.

    Never longer than `LIMIT`. What does not fit is left out at the upper end: that remembers less than is true,
    never more. It can't happen where polls keep to `Ledger.room` and skip no large gap.
    """
    if len(nonce) != 8:
        raise ValueError(f"nonce: 8 bytes, not {len(nonce)}")
    kind, payload = _payload(frontier, position, holes)
    head = _HEAD.pack(*identity.digests, frontier, nonce, kind)
    body = head + _packed(marks or Marks(frontier), frontier) + payload
    body += crc32(body).to_bytes(_CHECKSUM)
    return _MAGIC + _VERSION + b2a_base64(body, newline=False).decode("ascii")


def decode(text: str | None, identity: Identity, committed: int) -> Restored:
    """What `text`, found beside the offset `committed`, says about the log with this `identity`.

    Never raises, whatever the text is, and takes memory in proportion to its length: offsets stay intervals.
    """

    def frontier_only(reason: str) -> Restored:
        return Restored(committed, reason=reason)

    if not text:
        return frontier_only("there is no metadata")
    if not text.startswith(_MAGIC) or len(text) > LIMIT:
        return frontier_only("the metadata was not written by Streamer")
    version = text[len(_MAGIC) : len(_MAGIC) + 1]
    if version not in ("1", _VERSION):
        return frontier_only(f"the metadata is not of version {_VERSION} or the one before")
    try:
        body = a2b_base64(text[len(_MAGIC) + 1 :], strict_mode=True)
    except ValueError:
        body = b""
    body, checksum = body[:-_CHECKSUM], body[-_CHECKSUM:]
    size = _HEAD.size if version == "1" else _HEAD.size + _MARKS.size
    if len(body) < size or crc32(body) != int.from_bytes(checksum):
        return frontier_only("the metadata is cut short or altered")
    cluster, topic, frontier, nonce, kind = _HEAD.unpack_from(body)
    if (cluster, topic) != identity.digests:
        which = "cluster" if cluster != identity.digests[0] else "topic of this name"
        reason = f"the metadata was written for another {which}"
        return Restored(committed, reason=reason, topic_made_anew=cluster == identity.digests[0])
    if frontier != committed:
        return frontier_only(f"the metadata belongs to offset {frontier}, but {committed} is committed")
    try:
        finished = tuple(_finished(kind, body[size:], frontier))
    except ValueError as error:
        return frontier_only(f"the metadata is impossible: {error}")
    marks = None if version == "1" else _unpacked(body, frontier)
    return Restored(frontier, finished, nonce, marks=marks)


def _packed(marks: Marks, frontier: int) -> bytes:
    trial = marks.trial
    if trial is not None and trial.offset < frontier:
        trial = None  # it has ended; the distance would accuse whoever is at the frontier
    flags = _LEFT * marks.left | _MOVED * marks.moved | _BEGAN * marks.began
    if marks.low_water is not None:
        flags |= _LOW_WATER
    if trial is not None:
        flags |= _ON_TRIAL | _ALONE * trial.alone
    return _MARKS.pack(
        min(max(0, marks.reach - frontier), _FARTHEST),
        flags,
        min(max(0, trial.offset - frontier), _FARTHEST) if trial is not None else 0,
        min(trial.crashes, 255) if trial is not None else 0,
        min(marks.level, 255),
        marks.low_water or 0,
    )


def _unpacked(body: bytes, frontier: int) -> Marks:
    reach, flags, at, crashes, level, low_water = _MARKS.unpack_from(body, _HEAD.size)
    return Marks(
        reach=frontier + reach,
        left=bool(flags & _LEFT),
        trial=Trial(frontier + at, crashes, bool(flags & _ALONE)) if flags & _ON_TRIAL else None,
        level=level,
        low_water=low_water if flags & _LOW_WATER else None,
        moved=bool(flags & _MOVED),
        began=bool(flags & _BEGAN),
    )


def _payload(frontier: int, position: int, holes: Sequence[int]) -> tuple[int, bytes]:
    """The shorter of the two forms; when neither holds all, the one that reaches further."""
    bitset = (position - frontier + 6) // 8
    runs, reached = _runs(frontier, position, holes, min(bitset, _CAPACITY))
    if reached == position or (bitset > _CAPACITY and reached > frontier + BITS):
        return _RUNS, runs
    return _BITS, _bits(frontier, position, holes)


def _runs(frontier: int, position: int, holes: Sequence[int], capacity: int) -> tuple[bytes, int]:
    """Lengths of unfinished and finished runs by turns, from the frontier on, and the offset they reach."""
    out = bytearray()
    if position <= frontier + 1:
        return b"", position
    first, stop = frontier, frontier + 1  # of the unfinished run that is not written yet
    for hole in (*holes, position):
        if hole != stop:
            size = len(out)
            _varint(out, stop - first)
            _varint(out, hole - stop)
            if len(out) > capacity:
                return bytes(out[:size]), first
            first = hole
        stop = hole + 1
    return bytes(out), position


def _bits(frontier: int, position: int, holes: Sequence[int]) -> bytes:
    """One bit per offset, from the one after the frontier on; 1 is finished."""
    first = frontier + 1
    count = min(position - first, BITS)
    # One character per offset, then one conversion: far cheaper than shifting bits one by one.
    flags = bytearray(b"1") * count
    for hole in holes:
        if hole >= first + count:
            break
        flags[hole - first] = 48
    flags = flags.rstrip(b"0")
    size = -(-len(flags) // 8)
    return int(flags.ljust(size * 8, b"0"), 2).to_bytes(size) if flags else b""


def _finished(kind: int, payload: bytes, frontier: int) -> Iterator[Interval]:
    if kind == _RUNS:
        return _from_runs(payload, frontier)
    if kind == _BITS:
        return _from_bits(payload, frontier)
    raise ValueError(f"there is no form {kind}")


def _from_bits(payload: bytes, frontier: int) -> Iterator[Interval]:
    first = frontier + 1
    if first + 8 * len(payload) > _HIGHEST:
        raise ValueError("an offset is too high")
    for run in re.finditer("1+", format(int.from_bytes(payload), f"0{8 * len(payload)}b")):
        yield first + run.start(), first + run.end()


def _from_runs(payload: bytes, frontier: int) -> Iterator[Interval]:
    numbers = _numbers(payload)
    at, unfinished = frontier, 0
    for gap in numbers:
        length = next(numbers, 0)
        unfinished += gap
        if not gap or not length:
            raise ValueError("a run is empty")
        if unfinished > _MOST_UNFINISHED:
            raise ValueError("more offsets are unfinished than any window allows")
        start, at = at + gap, at + gap + length
        if at > _HIGHEST:
            raise ValueError("an offset is too high")
        yield start, at


def _varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _numbers(payload: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in payload:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield number
            number = shift = 0
        elif shift > 63:
            raise ValueError("a run is too long")
    if shift:
        raise ValueError("a run is cut short")
