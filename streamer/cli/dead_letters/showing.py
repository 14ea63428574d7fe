"""Dead letters on standard output: a line each, or one with all it has."""

from __future__ import annotations

import re
import sys
from collections import Counter
from datetime import UTC, datetime

import msgspec

from streamer.cli.reading import nobody_listens, refuse_missing
from streamer.decoding import MSGPACK
from streamer.errors import SettingsError
from streamer.kafka.backlog import extent, reader, record_at, records
from streamer.kafka.connection import Connection
from streamer.kafka.letters import DeadLetter, Wanted, dead_letter, totals
from streamer.kafka.reasons import REASONS
from streamer.kafka.writing import content_type

ADDRESS = re.compile(r"(?:(\d+)-)?(\d+)")
LONGEST = 2_000


async def print_all(
    connection: Connection, topic: str, wanted: Wanted, count: int | None, as_json: bool
) -> None:
    """Print those that are there now, partition by partition as they come, then their number by reason."""
    there = await refuse_missing(connection, topic)
    counts: Counter[str] = Counter()
    try:
        async with reader(connection) as consumer:
            async for record in records(consumer, await extent(consumer, topic, there[topic])):
                letter = dead_letter(record)
                if wanted.matches(letter):
                    counts[letter.reason] += 1
                    print(as_object(letter) if as_json else line(letter))
                    if counts.total() == count:
                        break
            sys.stdout.flush()
    except BrokenPipeError:
        nobody_listens()
    print(f"{totals(counts)}, in {topic}", file=sys.stderr)


async def print_one(connection: Connection, topic: str, address: str) -> None:
    """Print the dead letter at an address, or say which there are."""
    there = await refuse_missing(connection, topic)
    found = ADDRESS.fullmatch(address)
    if found is None or (found[1] is None and there[topic] > 1):
        raise SettingsError(
            f"{address!r} is no address in {topic}, which has {there[topic]} partitions; it is PARTITION-OFFSET: 0-17."
        )
    partition, offset = int(found[1] or 0), int(found[2])
    record = None
    if partition < there[topic]:
        async with reader(connection) as consumer:
            record = await record_at(consumer, topic, partition, offset)
    if record is None:
        raise SettingsError(
            f"There is no dead letter {partition}-{offset} in {topic}. To see which there are: "
            f"streamer dead-letters list --topic {topic}"
        )
    print(described(dead_letter(record), topic))


def line(letter: DeadLetter) -> str:
    """One line of text."""
    parts = (letter.address, instant(letter.at), letter.reason, letter.task_id, letter.origin, letter.message)
    return "  ".join(plain(part or "-") for part in parts)


def as_object(letter: DeadLetter) -> str:
    """One line of JSON."""
    return msgspec.json.encode(
        {
            "address": letter.address,
            "at": instant(letter.at),
            "reason": letter.reason,
            "task_id": letter.task_id,
            "origin": {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset},
            "message": letter.message,
        }
    ).decode()


def described(letter: DeadLetter, topic: str) -> str:
    """All there is to say about one."""
    record = letter.record
    reason = REASONS.get(letter.reason)
    facts = {
        "dead letter": f"{letter.address} of {topic}",
        "when": instant(letter.at),
        "reason": f"{letter.reason}. {reason.meaning}" if reason else letter.reason,
        "what to do": reason.remedy
        if reason
        else "It was not written by Streamer; its headers may say more.",
        "message": letter.message or "-",
        "task id": letter.task_id or "-",
        "came from": letter.origin or "-",
        "key": "none" if record.key is None else escaped(record.key),
    }
    shown = [f"{name:<12} {plain(fact)}" for name, fact in facts.items()]
    shown.append("headers")
    shown += [f"  {plain(name)}: {escaped(value or b'')}" for name, value in record.headers]
    left_out = "" if letter.value_bytes is None else f" ({letter.value_bytes} bytes, left out)"
    size = f" ({len(record.value)} bytes)" if record.value is not None else left_out
    return "\n".join([*shown, f"value{size}", value(letter)])


def value(letter: DeadLetter) -> str:
    """JSON laid out; of anything else the beginning, escaped."""
    data = letter.record.value
    if data is None:
        return "none"
    try:
        packed = content_type(letter.record) == MSGPACK
        text = msgspec.json.encode(msgspec.msgpack.decode(data)) if packed else data
        return msgspec.json.format(str(text, "utf-8"), indent=2)
    except (ValueError, TypeError, RecursionError):
        return escaped(data)


def escaped(data: bytes) -> str:
    """Bytes as text that changes nothing about the terminal; of many the first."""
    more = f" … ({len(data)} bytes)" if len(data) > LONGEST else ""
    return plain(data[:LONGEST].decode("utf-8", "backslashreplace")) + more


def plain(text: str) -> str:
    """Text in one line, without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def instant(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
