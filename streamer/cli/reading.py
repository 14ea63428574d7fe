"""Reads a topic to standard output."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from base64 import b64encode
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streamer.decoding import MSGPACK
from streamer.errors import SettingsError
from streamer.kafka.claiming import fetched, is_claim, within
from streamer.kafka.claims import Store
from streamer.kafka.connection import Connection
from streamer.kafka.topics import Unreachable, explained, open_admin, partitions
from streamer.kafka.writing import content_type

TURN = 0.2
TOO_FEW = 1
INTERRUPTED = 130


async def read(
    connection: Connection,
    topic: str,
    count: int | None,
    from_beginning: bool,
    timeout: float | None,
    store: Store | None = None,
) -> int:
    """Print values until there are ``count``, none came for ``timeout`` seconds, or nobody listens; the exit code.

    Values that are in the ``store`` are read from there.
    """
    await refuse_missing(connection, topic)
    loop = asyncio.get_running_loop()
    interrupted: list[int] = []
    for number, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, 0)):
        loop.add_signal_handler(number, interrupted.append, code)
    consumer = await at_its_place(connection, topic, from_beginning)
    printed = 0
    last = loop.time()
    try:
        while not interrupted and not reader_is_gone():
            left = None if count is None else count - printed
            polled = await consumer.getmany(timeout_ms=int(TURN * 1000), max_records=left)
            values = [line(await whole(m, store)) for messages in polled.values() for m in messages]
            if values:
                sys.stdout.buffer.writelines(values)
                sys.stdout.buffer.flush()
                printed += len(values)
                last = loop.time()
            if printed == count:
                return 0
            if timeout is not None and loop.time() - last >= timeout:
                if count is None:
                    return 0
                print(
                    f"streamer: {printed} of {count} records came; none for {timeout:g} s.", file=sys.stderr
                )
                return TOO_FEW
    except BrokenPipeError:
        pass
    finally:
        await consumer.stop()
    if not interrupted:
        nobody_listens()
    return interrupted[0] if interrupted else 0


async def refuse_missing(connection: Connection, topic: str) -> dict[str, int]:
    """Asking for a topic would make it. The topics that are there, with how many partitions each has."""
    admin = await open_admin(connection)
    try:
        there = await partitions(admin)
    finally:
        await admin.close()
    if topic not in there:
        close = get_close_matches(topic, there, 1)
        hint = (
            f"Did you mean {close[0]!r}?"
            if close
            else "`streamer run` and `streamer topics` make what they need."
        )
        raise SettingsError(f"Topic {topic!r} does not exist at {connection.bootstrap_servers}. {hint}")
    return there


async def at_its_place(connection: Connection, topic: str, from_beginning: bool) -> AIOKafkaConsumer:
    """A consumer of all partitions whose positions are settled: what comes from now on is not missed."""
    consumer = AIOKafkaConsumer(
        topic,
        **connection.client("streamer-consume"),
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest" if from_beginning else "latest",
    )
    try:
        await consumer.start()
        for partition in consumer.assignment():
            await consumer.position(partition)
    except (KafkaError, OSError) as error:
        await consumer.stop()
        raise Unreachable(explained(connection, error)) from error
    return consumer


async def whole(message: Any, store: Store | None) -> Any:
    """The record with the value that its header points to; as it is where that can't be read, with a sentence."""
    if store is None or not is_claim(message):
        return message
    try:
        return replace(message, value=await within(fetched, store, message))
    except Exception as error:
        place = f"{message.topic}-{message.partition}-{message.offset}"
        print(
            f"streamer: {place}: the claim check can't be read: {type(error).__name__}: {error}",
            file=sys.stderr,
        )
        return message


def line(message: Any) -> bytes:
    """A record's value as one line of JSON."""
    value = message.value
    if value is None:
        return b"null\n"
    try:
        if content_type(message) == MSGPACK:
            return msgspec.json.encode(msgspec.msgpack.decode(value)) + b"\n"
        return msgspec.json.format(str(value, "utf-8"), indent=-1).encode() + b"\n"
    except (ValueError, TypeError, RecursionError):
        return msgspec.json.encode(text_of(value)) + b"\n"


def text_of(value: bytes) -> Any:
    """What is neither JSON nor MessagePack."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}


def reader_is_gone() -> bool:
    """Whether what read our standard output has ended, which writing alone would tell only with the next record."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def nobody_listens() -> None:
    """Let Python's own last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
