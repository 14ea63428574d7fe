"""Large values take the way around the broker: what goes out is put into a store, what comes in is read from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from streamer.decoding import MSGPACK, Decoder
from streamer.errors import Category, InvalidTask
from streamer.kafka.claims import CLAIM, ClaimRefused, Store
from streamer.kafka.encoding import bare, failed
from streamer.kafka.writing import content_type
from streamer.results import ClaimCheck, Encoder, Result, Unencodable

PATIENCE = 60.0
"""Seconds after which a store that does not answer has failed."""


class Said(msgspec.Struct):
    """What is said of a value that is elsewhere."""

    sha256: str | None = None


class Carrier(msgspec.Struct):
    """What a record's value may say of the value that is elsewhere."""

    claim_check: Said | None = None


class Claiming:
    """A worker's large results and tasks. Without a store results are left as they are, and tasks refused.

    Invariant: what the store does, or does not do, is never an error here: a result becomes a failed one, a task a
    dead letter, within ``PATIENCE``.
    """

    def __init__(
        self, store: Store | None, limit: int, decoder: Decoder, warn: Callable[[str], None] = print
    ) -> None:
        self.store = store
        self.limit = limit
        self.decoder = decoder
        self.warn = warn
        self.encoder = Encoder()

    async def result(self, message: Any, result: Result) -> Result:
        """The result itself, or where it is too large one that says where it was put."""
        if self.store is None:
            return result
        msgpack = content_type(message) == MSGPACK
        try:
            data = self.encoder.encode(result, msgpack)
        except Unencodable:
            return result  # the writer says why
        if len(data) <= self.limit:
            return result
        place = f"{message.topic}/{message.partition}-{message.offset}"
        hashed = sha256(result.task_id.encode()).hexdigest()[:16]
        try:
            claim = await within(put, self.store, f"{place}-{hashed}", data, "msgpack" if msgpack else "json")
        except Exception as error:
            why = (
                f"The result has {len(data)} bytes, above claim_check_bytes of {self.limit}, and the claim check "
                f"could not be written: {type(error).__name__}: {error}"
            )
            self.warn(f"{message.topic}-{message.partition}-{message.offset}: {why}")
            return bare(failed(result, Category.INTERNAL, why))
        small = replace(result, value=UNSET, children=UNSET, claim_check=claim)
        if len(self.encoder.encode(small, msgpack)) > self.limit:
            small = replace(small, metadata=None, attempts=small.attempts[:10])
        return small

    async def task(self, message: Any) -> Any:
        """The task that is elsewhere, or the InvalidTask that says why there is none."""
        try:
            if self.store is None:
                raise ClaimRefused("this worker has no claim check; set STREAMER_CLAIM_CHECK")
            data = await within(fetched, self.store, message)
            return self.decoder.decode(data, content_type(message))
        except InvalidTask as problem:
            return problem
        except ClaimRefused as error:
            refused = InvalidTask("validation_error", f"Header `{CLAIM}`: {error}")
            refused.__cause__ = error
            return refused
        except Exception as error:
            unread = InvalidTask(
                "decode_error", f"Header `{CLAIM}`: the value can't be read: {type(error).__name__}: {error}"
            )
            unread.__cause__ = error
            return unread


async def within(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in a thread, which is no longer waited for when it takes too long."""
    return await asyncio.wait_for(asyncio.to_thread(function, *arguments), PATIENCE)


def put(store: Store, place: str, data: bytes, ending: str) -> ClaimCheck:
    """Write a value. Its name ends in its digest, so that another answer does not replace this one."""
    digest = sha256(data).hexdigest()
    location = store.put(f"{place}-{digest[:16]}.{ending}", data)
    return ClaimCheck(location=location, bytes=len(data), sha256=digest)


def is_claim(message: Any) -> bool:
    """Whether a record's value is elsewhere."""
    return any(name == CLAIM for name, _ in message.headers)


def fetched(store: Store, message: Any) -> bytes:
    """The value that a record's header points to; ValueError where it is not the one that was written."""
    location = str(next(value for name, value in message.headers if name == CLAIM) or b"", "utf-8", "replace")
    data = store.get(location)
    codec: Any = msgspec.msgpack if content_type(message) == MSGPACK else msgspec.json
    try:
        claim = codec.decode(message.value or b"", type=Carrier).claim_check
    except (ValueError, RecursionError):
        return data  # a producer need not say more than the header
    if claim is not None and claim.sha256 not in (None, sha256(data).hexdigest()):
        raise ValueError(f"{location} is not what was written there: its sha256 is another")
    return data
