"""A consumer group from outside: who is in it, what is committed, and what its workers say of themselves."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

import msgspec
from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, for_code
from msgspec import Struct

from streamer.kafka import adapter
from streamer.kafka.connection import Connection
from streamer.kafka.metadata import Identity, Restored, decode
from streamer.kafka.snapshot import WorkerSnapshot
from streamer.kafka.status_server import port_of
from streamer.kafka.topic_ids import identities
from streamer.kafka.topics import Unreachable, explained, open_admin

ASKED = 2.0
HOLES_SHOWN = 5


class Member(Struct, frozen=True, kw_only=True):
    """A member of the group, and its worker's own words; ``silent`` says why there are none."""

    member_id: str
    client_id: str
    host: str
    partitions: tuple[tuple[str, int], ...] = ()
    worker: WorkerSnapshot | None = None
    silent: str | None = None


class Committed(Struct, frozen=True, kw_only=True):
    """A partition as the broker has it. ``holes`` are unfinished above the frontier, as the commit says."""

    topic: str
    partition: int
    frontier: int | None
    beginning: int
    end: int
    lag: int
    left: int
    holes: int = 0
    hole_offsets: tuple[int, ...] = ()
    note: str | None = None


class Group(Struct, frozen=True, kw_only=True):
    """A group at one moment."""

    name: str
    state: str
    members: tuple[Member, ...]
    partitions: tuple[Committed, ...]


async def look(connection: Connection, group: str, topics: Iterable[str]) -> Group:
    """All that can be learnt of a group; without topics, of those that it has committed or is assigned."""
    admin = await open_admin(connection)
    # without a group of its own it asks, and joins nothing
    consumer = AIOKafkaConsumer(**connection.client("streamer-status"), isolation_level="read_committed")
    try:
        await consumer.start()
        state, members = await described(admin, group)
        members = await asyncio.gather(*(asked(member) for member in members))
        offsets = await admin.list_consumer_group_offsets(group)
        wanted = set(topics) or {tp.topic for tp in offsets} | {t for m in members for t, _ in m.partitions}
        tps = await partitions_of(admin, wanted)
        beginnings, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        cluster_id, ids = await identities(adapter.client_of(consumer), sorted(wanted))
    except (KafkaError, OSError) as error:
        raise Unreachable(explained(connection, error)) from error
    finally:
        await consumer.stop()
        await admin.close()
    partitions = []
    for tp in tps:
        found = offsets.get(tp)
        restored = None
        if found is not None and found.offset >= 0:
            restored = decode(found.metadata, Identity(cluster_id, ids.get(tp.topic, "")), found.offset)
        partitions.append(committed(tp, restored, beginnings[tp], ends[tp]))
    return Group(name=group, state=state, members=tuple(members), partitions=tuple(partitions))


async def partitions_of(admin: AIOKafkaAdminClient, topics: Iterable[str]) -> list[TopicPartition]:
    """The partitions of the topics that are there; asking for one by name could make it."""
    wanted = set(topics)
    return sorted(
        TopicPartition(topic["topic"], partition["partition"])
        for topic in await admin.describe_topics()
        if topic["topic"] in wanted
        for partition in topic["partitions"]
    )


def committed(tp: TopicPartition, restored: Restored | None, beginning: int, end: int) -> Committed:
    """A partition by its commit: a hole is what is unfinished below the highest that is finished."""
    start = restored.frontier if restored is not None else beginning
    finished = restored.finished if restored is not None else ()
    holes: list[int] = []
    count, at = 0, start + 1
    for first, stop in finished:
        count += first - at
        holes += range(at, min(first, at + HOLES_SHOWN - len(holes)))
        at = stop
    done = sum(min(stop, end) - min(first, end) for first, stop in finished)
    lag = max(0, end - start)
    return Committed(
        topic=tp.topic,
        partition=tp.partition,
        frontier=restored.frontier if restored is not None else None,
        beginning=beginning,
        end=end,
        lag=lag,
        left=max(0, lag - done),
        holes=count,
        hole_offsets=tuple(holes),
        note=restored.reason if restored is not None and lag else None,
    )


async def described(admin: AIOKafkaAdminClient, group: str) -> tuple[str, list[Member]]:
    """The group's state and members, in the broker's words."""
    (response,) = await admin.describe_consumer_groups([group])
    error, _, state, _, _, members, *_ = response.groups[0]
    if error:
        raise for_code(error)(f"group {group!r}")
    found = []
    for member_id, client_id, host, _, assignment, *_ in members:
        partitions: tuple[tuple[str, int], ...] = ()
        if assignment:
            decoded = ConsumerProtocolMemberAssignment.decode(assignment)
            partitions = tuple(sorted((tp.topic, tp.partition) for tp in decoded.partitions()))
        found.append(
            Member(member_id=member_id, client_id=client_id, host=host.lstrip("/"), partitions=partitions)
        )
    return state, sorted(found, key=lambda member: member.client_id)


async def asked(member: Member) -> Member:
    """The member with what its worker says, asked where its connection to the broker comes from, and here."""
    port = port_of(member.client_id)
    if port is None:
        return msgspec.structs.replace(member, silent="it serves no status")
    refused = False
    here = f"-{socket.gethostname()}-" in member.client_id
    async with ClientSession(timeout=ClientTimeout(total=ASKED)) as session:
        for host in ["127.0.0.1", member.host] if here else [member.host]:
            try:
                async with session.get(f"http://{bracketed(host)}:{port}/status") as response:
                    worker = msgspec.json.decode(await response.read(), type=WorkerSnapshot)
            except (ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
                refused = isinstance(error, ClientConnectorError)
                continue
            refused = worker.client_id != member.client_id  # someone else has got the port meanwhile
            if not refused:
                return msgspec.structs.replace(member, worker=worker)
    if here and refused:
        why = "its process is gone; the group gives its partitions to others after its session timeout"
    elif here:
        why = f"it does not answer on port {port}: something keeps its event loop"
    else:
        why = f"it can't be asked from here on {member.host}:{port}; STREAMER_STATUS_HOST=0.0.0.0 there opens it"
    return msgspec.structs.replace(member, silent=why)


def bracketed(host: str) -> str:
    """As it stands in an address."""
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host
