"""A broker that goes away, and an output that takes nothing."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from streamer.kafka.topics import Wanted, ensure
from tests.brokers.server import free_port
from tests.chaos.processes import DELIVERIES, OUTAGE, ROUNDS, Site, questions
from tests.chaos.reading import Reader
from tests.chaos.resources import resident
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(900)]


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_broker_that_goes_away_again_and_again_costs_nothing(
    private_broker, topic_name, tmp_path, delivery
):
    """Killed or stopped in the middle, away past the session, back: none missing, none stalled, no call made twice.

    Meanwhile the worker says what is wrong, and that it is healthy: a restart would lose what is under way.
    """
    broker = private_broker()
    site = Site(Rig(broker.bootstrap_servers, topic_name), tmp_path)
    try:
        url, _ = await site.model_server("--latency", "lognormal(0.3,0.5)", "--seed", "7")
        port = free_port()
        worker = await site.worker(url, delivery=delivery, STREAMER_STATUS_PORT=str(port))
        produced = 0
        async with Reader(site.rig) as reader:
            for number in range(ROUNDS):
                await site.rig.produce(questions(produced + 1_000)[produced:])
                produced += 1_000
                await reader.until(produced - 600)
                await asyncio.to_thread(broker.stop if number % 2 else broker.kill)
                await asyncio.sleep(OUTAGE)
                code, said = await asyncio.to_thread(health, port)
                assert (code, said["healthy"]) == (200, True)
                assert "No heartbeat has got through" in " ".join(said["problems"])
                await asyncio.to_thread(broker.start)
            await reader.until(produced, seconds=120)
            await site.rig.all_committed(60)
            await asyncio.sleep(2)
            reader.all_there(produced, delivery)
        seen = site.seen
        print(
            f"{produced} tasks, {ROUNDS} outages of {OUTAGE:g} s: "
            f"{reader.ids.total()} results, {len(seen.calls)} calls"
        )
        assert seen.repeated == set()
        assert await worker.terminate() == 0
        assert not any("Traceback" in line for line in worker.lines)
    finally:
        await site.close()


def health(port: int) -> tuple[int, dict]:
    """What the worker answers to whoever supervises it."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_an_output_that_may_not_be_written_is_waited_for(
    private_broker, topic_name, tmp_path, delivery
):
    """No more calls than may be outstanding, flat memory, one sentence; then every result, and no call made twice."""
    count, outstanding, growth = 6_000, 500, 8.0
    broker = private_broker(
        authorizer_class_name="org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        allow_everyone_if_no_acl_found="true",
    )
    site = Site(Rig(broker.bootstrap_servers, topic_name), tmp_path)
    try:
        url, _ = await site.model_server("--latency", "lognormal(0.2,0.5)", "--seed", "4")
        worker = await site.worker(url, delivery=delivery, STREAMER_OUTSTANDING=str(outstanding))
        access = Access(site.rig)
        async with Reader(site.rig) as reader:
            await site.rig.produce(questions(count, metadata={"more": "x" * 4_000}))
            await reader.until(2_000)
            access.deny_writing()
            await asyncio.sleep(3)
            answered, before, sizes = len(reader.ids), resident(worker.process.pid), []
            for _ in range(int(max(OUTAGE, 12))):
                await asyncio.sleep(1)
                sizes.append(resident(worker.process.pid))
            assert len(reader.ids) == answered
            ahead = len(site.seen.calls) - answered
            access.allow_writing()
            await reader.until(count)
            await site.rig.all_committed()
            await asyncio.sleep(1)
            reader.all_there(count, delivery)
        print(
            f"{ahead} calls ahead of the results, {before:.1f} MB, then {min(sizes):.1f} to {max(sizes):.1f} MB"
        )
        assert 0 < ahead <= outstanding
        assert max(sizes) - before < growth
        assert [sum(said in line for line in worker.lines) for said in ("Can't write", "works again")] == [
            1,
            1,
        ]
        assert site.seen.repeated == set()
        assert await worker.terminate() == 0
    finally:
        await site.close()


async def test_an_output_that_takes_nothing_bounds_what_is_outstanding(private_broker, topic_name):
    """The worker says so, takes no more than it may, and goes on when it can."""
    broker = private_broker(auto_create_topics_enable="false")
    rig = Rig(broker.bootstrap_servers, topic_name)
    topology = rig.topology(outstanding=300)
    async with rig.worker(topology) as worker:
        await delete_output(rig)
        await rig.produce(
            {"id": f"t{number}", "kind": "llm", "model": "echo:", "prompt": "x"} for number in range(3_000)
        )
        async with asyncio.timeout(60):
            while not rig.warnings:
                await asyncio.sleep(0.1)
        dispatcher = worker.source.dispatcher
        assert dispatcher.waiting + dispatcher.working <= 300
        assert "Can't write" in rig.warnings[0]
        await ensure(rig.connection, [Wanted(rig.output, rig.partitions)])
        results = await rig.read(3_000, seconds=90, settle=0.5)
        await rig.all_committed()
    assert len({result.value["task_id"] for result in results}) == len(results) == 3_000
    assert "works again" in rig.warnings[-1]


async def delete_output(rig: Rig) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([rig.output])
    finally:
        await admin.close()


class Access:
    """Who may write to the output: everybody or nobody."""

    def __init__(self, rig: Rig) -> None:
        self.servers = rig.bootstrap
        self.topic = rig.output

    def admin(self) -> AdminClient:
        """A new one each time: one that is kept complains of a broker that has gone."""
        return AdminClient({"bootstrap.servers": self.servers})

    def rule(self, operation: AclOperation, permission: AclPermissionType) -> AclBinding:
        return AclBinding(
            ResourceType.TOPIC, self.topic, ResourcePatternType.LITERAL, "User:*", "*", operation, permission
        )

    def deny_writing(self) -> None:
        rules = [
            self.rule(AclOperation.ALL, AclPermissionType.ALLOW),
            self.rule(AclOperation.WRITE, AclPermissionType.DENY),
        ]
        admin = self.admin()
        for done in admin.create_acls(rules).values():
            done.result(30)

    def allow_writing(self) -> None:
        denied = AclBindingFilter(
            ResourceType.TOPIC,
            self.topic,
            ResourcePatternType.LITERAL,
            "User:*",
            "*",
            AclOperation.WRITE,
            AclPermissionType.DENY,
        )
        admin = self.admin()
        for done in admin.delete_acls([denied]).values():
            done.result(30)
