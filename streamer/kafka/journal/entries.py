"""What a journal's records say, and the bytes they say it in: a version, then MessagePack."""

from __future__ import annotations

from hashlib import blake2b

import msgspec
from msgspec import Struct

from streamer.events import Outcome
from streamer.kafka.metadata import Identity

VERSION = 1  # a reader accepts its own version and, once there is one, the version before


class Epoch(Struct, frozen=True, tag="epoch", array_like=True):
    """The owner ``nonce`` begins; ``after`` was the one before, by the last commit, None where there was none."""

    nonce: bytes
    origin: bytes
    after: bytes | None


class Noted(Struct, frozen=True, tag="noted", array_like=True):
    """The owner ``nonce``, whose marker is the journal's record ``marker``, noted this of the task at ``offset``."""

    nonce: bytes
    origin: bytes
    marker: int
    offset: int
    outcome: Outcome


Entry = Epoch | Noted

_ENCODER = msgspec.msgpack.Encoder()
_DECODERS: dict[int, msgspec.msgpack.Decoder[Entry]] = {VERSION: msgspec.msgpack.Decoder(Entry)}
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_UNWRITABLE = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)


def origin(group: str, topic: str, identity: Identity) -> bytes:
    """Whose offsets a journal's records speak of: a topic made anew, or another group, has another one."""
    return blake2b(
        "\n".join((group, topic, identity.cluster_id, identity.topic_id)).encode(), digest_size=8
    ).digest()


class Unwritable(ValueError):
    """An outcome holds what MessagePack can't carry."""


def key(entry: Entry) -> bytes:
    """The key of its record: for who reads the topic with tools."""
    return b"epoch" if isinstance(entry, Epoch) else str(entry.offset).encode()


def encode(entry: Entry) -> bytes:
    """The value of its record, or :class:`Unwritable`."""
    try:
        return bytes((VERSION,)) + _ENCODER.encode(entry)
    except _UNWRITABLE as error:
        raise Unwritable(str(error)) from error


def decode(value: bytes | None) -> Entry | None:
    """What a record says; None of one that is not of a version known here, or not whole."""
    if not value:
        return None
    decoder = _DECODERS.get(value[0])
    if decoder is None:
        return None
    try:
        return decoder.decode(memoryview(value)[1:])
    except _UNREADABLE:
        return None
