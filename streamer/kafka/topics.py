"""Topics: what is there, what is missing, what is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidPartitionsError,
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)
from msgspec import Struct

from streamer.errors import SettingsError, StreamerError
from streamer.kafka.connection import Connection

PARTITIONS = 4
PATIENCE = 10.0
"""Seconds in which a broker has to answer; several addresses that swallow packets would take 15 s each."""
DEAD_LETTER_BYTES = 16_777_216
"""Dead letters hold whole input records, also of topics that allow large ones."""


class Wanted(Struct, frozen=True):
    """A topic that a topology needs."""

    name: str
    partitions: int | None = None
    config: dict[str, str] = {}
    role: str = "topic"


class Unreachable(StreamerError):
    """The cluster can't be reached, or refuses."""


async def open_admin(connection: Connection) -> AIOKafkaAdminClient:
    """An admin client that is connected, or one sentence why not."""
    admin = AIOKafkaAdminClient(**connection.client("streamer-admin"), request_timeout_ms=15_000)
    try:
        async with asyncio.timeout(PATIENCE):
            await admin.start()
    except (KafkaError, OSError) as error:
        await admin.close()
        raise Unreachable(explained(connection, error)) from error
    return admin


def explained(connection: Connection, error: Exception) -> str:
    """Why the cluster can't be reached, and what to look at."""
    where = connection.bootstrap_servers
    if isinstance(error, KafkaConnectionError | OSError):
        return (
            f"No Kafka broker answers at {where} by {connection.security_protocol}. Is it running, and are address "
            "and security protocol right? Set --bootstrap-servers or STREAMER_BOOTSTRAP_SERVERS; --verbose shows "
            "what the Kafka client says, and `streamer demo` needs no broker."
        )
    return f"The Kafka broker at {where} refused: {type(error).__name__}: {error}"


async def partitions(admin: AIOKafkaAdminClient) -> dict[str, int]:
    """The topics that are there, with how many partitions each has."""
    found = await admin.describe_topics()
    return {topic["topic"]: len(topic["partitions"]) for topic in found if not topic.get("error_code", 0)}


async def create(admin: AIOKafkaAdminClient, wanted: Iterable[Wanted]) -> list[Wanted]:
    """Make the topics; those that are refused are a SettingsError with the broker's reason."""
    made = []
    for topic in wanted:
        new = NewTopic(topic.name, topic.partitions or PARTITIONS, 1, topic_configs=topic.config)
        new.replication_factor = -1  # the broker's default, which the constructor does not let through
        try:
            response = await admin.create_topics([new])
            _, code, *rest = response.topic_errors[0]
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise for_code(code)(*rest)
        except TopicAlreadyExistsError:
            continue
        except (KafkaError, AttributeError) as error:  # AttributeError: the cluster names no controller
            raise SettingsError(
                f"Topic {topic.name!r} ({topic.role}) is missing and its creation was refused: "
                f"{type(error).__name__}: {error}. Create it, or grant the right to."
            ) from error
        made.append(topic)
    return made


def planned(wanted: list[Wanted], there: dict[str, int]) -> dict[str, int]:
    """The partitions of each, made or to be made; missing ones take the input's, which is ``wanted[0]``."""
    count = there.get(wanted[0].name) or wanted[0].partitions or PARTITIONS
    return {topic.name: topic.partitions or count for topic in wanted} | there


async def ensure(
    connection: Connection,
    wanted: list[Wanted],
    *,
    create_missing: bool = True,
    say: Callable[[str], object] = lambda _: None,
) -> dict[str, int]:
    """See that the topics are there, made where they are missing; the number of partitions of each.

    ``say`` hears of each that was made: behind a mistyped name nobody would ever look.
    """
    admin = await open_admin(connection)
    try:
        there = await partitions(admin)
        missing = [topic for topic in wanted if topic.name not in there]
        if missing and not create_missing:
            names = ", ".join(f"{topic.name!r} ({topic.role})" for topic in missing)
            raise SettingsError(
                f"Missing topics: {names}. Create them with `streamer topics MODULE`, or run without --no-create."
            )
        counts = planned(wanted, there)
        try:
            await create(admin, [with_partitions(topic, counts[topic.name]) for topic in missing])
        except SettingsError:
            # the embedded broker can't create topics, but makes those that are asked for
            there |= await appear(admin, [topic.name for topic in missing])
            counts |= there
            if any(topic.name not in there for topic in missing):
                raise
        if wanted[0].name in there:
            await refuse_compacted(admin, wanted[0].name)
        for topic in missing:
            count = counts[topic.name]
            say(
                f"Topic {topic.name!r} ({topic.role}) was missing; made with {count} partition{'s'[: count != 1]}."
            )
        return counts
    finally:
        await admin.close()


async def grow(connection: Connection, topic: str, count: int) -> None:
    """Give a topic more partitions: it is to have as many as one that has grown."""
    admin = await open_admin(connection)
    try:
        await admin.create_partitions({topic: NewPartitions(total_count=count)})
    except InvalidPartitionsError:
        return  # another worker was faster
    finally:
        await admin.close()


def with_partitions(topic: Wanted, count: int) -> Wanted:
    return Wanted(topic.name, topic.partitions or count, topic.config, topic.role)


async def appear(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """The topics that are there once they were asked for."""
    found = await admin.describe_topics(names)
    return {topic["topic"]: len(topic["partitions"]) for topic in found if not topic.get("error_code", 0)}


async def refuse_compacted(admin: AIOKafkaAdminClient, topic: str) -> None:
    """A compacted input would lose tasks that share a key before they are read."""
    try:
        responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    except KafkaError:
        return  # without the right to read configs there is nothing to judge
    for response in responses:
        for _error, _message, _kind, _name, entries in response.resources:
            for entry in entries:
                if entry[0] == "cleanup.policy" and "compact" in (entry[1] or ""):
                    raise SettingsError(
                        f"Input topic {topic!r} is compacted (cleanup.policy={entry[1]}): tasks that share a key "
                        "would vanish unread. Use a topic with cleanup.policy=delete."
                    )
