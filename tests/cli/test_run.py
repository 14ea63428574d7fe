"""How a worker begins and ends."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from tests.brokers import Broker
from tests.cli.shell import Running, streamer

MODULE = """
import asyncio
import time

from streamer import Topology

topology = Topology({topic!r}, {topic!r} + "-out")


@topology.function
def block(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@topology.function
async def refuse(seconds: float) -> float:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            continue
    return seconds


@topology.function
async def wait(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds
"""


class Site:
    """A module with functions of its own, its topics, and a broker."""

    def __init__(self, broker: Broker, topic: str, directory: Path) -> None:
        self.servers = broker.bootstrap_servers
        self.topic = topic
        self.module = directory / "module.py"
        self.module.write_text(MODULE.format(topic=topic))

    def running(self, *flags: str, **env: str) -> Running:
        return Running("run", str(self.module), *flags, STREAMER_BOOTSTRAP_SERVERS=self.servers, **env)

    def call(self, name: str, seconds: float, count: int = 1) -> None:
        task = {"kind": "function", "name": name, "arguments": [seconds]}
        lines = "".join(f"{json.dumps(task)}\n" for _ in range(count)).encode()
        assert (
            streamer("produce", self.topic, "-", stdin=lines, STREAMER_BOOTSTRAP_SERVERS=self.servers).code
            == 0
        )

    def results(self, count: int, timeout: float = 20) -> list[dict]:
        flags = ["--from-beginning", "--count", str(count), "--timeout", str(timeout)]
        done = streamer("consume", f"{self.topic}-out", *flags, STREAMER_BOOTSTRAP_SERVERS=self.servers)
        return [json.loads(line) for line in done.out.splitlines()]


@pytest.fixture
def site(broker: Broker, topic_name: str, tmp_path: Path) -> Site:
    return Site(broker, topic_name, tmp_path)


@pytest.mark.broker
def test_sigterm_drains_what_runs_and_ends_with_0(site: Site) -> None:
    with site.running() as worker:
        worker.until("ready")
        site.call("wait", 1.5, count=5)
        time.sleep(1)
        assert worker.end(signal.SIGTERM) == 0
        assert "draining (SIGTERM): taking no more, finishing what runs, at most 30 s" in worker.until(
            "draining"
        )
        assert worker.lines[-1].endswith("info streamer: stopped")
    results = site.results(5)
    assert [result["status"] for result in results] == ["succeeded"] * 5


@pytest.mark.broker
def test_an_interrupt_drains_as_well_and_ends_with_130(site: Site) -> None:
    with site.running() as worker:
        worker.until("ready")
        site.call("wait", 1)
        time.sleep(0.5)
        assert worker.end(signal.SIGINT) == 130
    assert len(site.results(1)) == 1


@pytest.mark.broker
def test_a_second_interrupt_ends_at_once(site: Site) -> None:
    with site.running() as worker:
        worker.until("ready")
        site.call("wait", 60)
        time.sleep(0.5)
        worker.send(signal.SIGINT)
        worker.until("draining")
        began = time.monotonic()
        assert worker.end(signal.SIGINT) == 130
        assert time.monotonic() - began < 2
        assert "what was running will be run again" in worker.lines[-1]


@pytest.mark.broker
@pytest.mark.parametrize("function", ["block", "refuse"])
def test_what_cannot_be_cancelled_does_not_keep_the_process(site: Site, function: str) -> None:
    with site.running("--drain-timeout", "1") as worker:
        worker.until("ready")
        site.call(function, 60)
        time.sleep(1)
        began = time.monotonic()
        assert worker.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 6
        assert "The drain timeout came first" in worker.until("drain timeout")


@pytest.mark.broker
def test_a_signal_ends_it_while_it_starts(site: Site) -> None:
    with site.running() as worker:
        worker.until("was missing")
        assert worker.end(signal.SIGTERM) == 0
        assert [line for line in worker.lines if "ready" in line] == []


@pytest.mark.broker
def test_all_topologies_of_a_module_run_and_are_announced_in_one_line(site: Site) -> None:
    with site.module.open("a") as module:
        module.write(
            f"\nother = Topology({site.topic!r}, {site.topic + '-other'!r}, name={site.topic + '-2'!r})\n"
        )
    with site.running() as worker:
        line = worker.until("ready")
        assert f"topology {site.topic}, " in line
        assert (
            f"; topology {site.topic}-2, {site.topic} -> {site.topic}-other, group {site.topic}-2, " in line
        )
        assert worker.end(signal.SIGTERM) == 0


@pytest.mark.broker
def test_the_file_for_health_checks_is_there_while_it_takes_tasks(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "ready"
    file.write_text("from a run before")
    with site.running(STREAMER_READY_FILE=str(file)) as worker:
        worker.until("was missing")
        assert not file.exists()
        worker.until("ready")
        assert "ready" in file.read_text()
        worker.end(signal.SIGTERM)
        assert not file.exists()


@pytest.mark.kafka
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_processes_share_the_work_and_end_together(site: Site, number: signal.Signals, code: int) -> None:
    with site.running("--processes", "2") as workers:
        assert "ready: 2 processes; topology" in workers.until("ready")
        site.call("wait", 0.5, count=40)
        assert len(site.results(40)) == 40
        assert workers.end(number) == code
        assert len([line for line in workers.lines if "ready" in line]) == 1
        assert len([line for line in workers.lines if line.endswith("stopped")]) == 2


@pytest.mark.kafka
def test_processes_end_when_their_parent_is_killed(site: Site) -> None:
    with site.running("--processes", "2") as workers:
        workers.until("ready")
        workers.process.kill()
        workers.reader.join(20)  # the pipe closes when the last child has ended
        assert len([line for line in workers.lines if "the parent process is gone" in line]) == 2
        assert len([line for line in workers.lines if line.endswith("stopped")]) == 2


@pytest.mark.kafka
def test_a_loss_of_unread_tasks_is_fatal_with_exit_code_1(
    site: Site, broker: Broker, unique_name: Callable[[str], str]
) -> None:
    site.call("wait", 0, count=8)
    asyncio.run(lose_what_is_unread(broker, site.topic))
    with site.running() as worker:
        assert worker.end() == 1
        said = [line for line in worker.lines if "critical" in line]
        assert len(said) == 1
        assert "were deleted before they were answered" in said[0]
        assert "STREAMER_ACCEPT_LOSS" in said[0]
        assert not any("Traceback" in line for line in worker.lines)


async def lose_what_is_unread(broker: Broker, topic: str) -> None:
    """Commit the beginning, then delete what follows, as a topic's retention would."""
    servers = broker.bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        await producer.send_and_wait(topic, b"{}", partition=0)
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=topic, enable_auto_commit=False
    ) as consumer:
        consumer.assign([partition])
        await consumer.commit({partition: OffsetAndMetadata(0, "")})
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.delete_records({partition: RecordsToDelete(before_offset=-1)})
    await admin.close()
