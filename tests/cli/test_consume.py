"""A topic onto standard output."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Callable

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.brokers import Broker
from tests.cli.shell import STREAMER, Done, Running, environment, lines

pytestmark = pytest.mark.broker
Run = Callable[..., Done]


def test_a_missing_topic_cannot_be_consumed(on: Run, topic_name: str) -> None:
    done = on("consume", topic_name)
    assert (done.code, f"Topic '{topic_name}' does not exist" in done.one_line) == (2, True)


def test_whatever_a_value_is_consume_prints_a_line_of_json(broker: Broker, on: Run, topic_name: str) -> None:
    packed = [("content-type", b"application/msgpack")]
    values: list[tuple[bytes | None, list, object]] = [
        (msgspec.msgpack.encode({"a": [1, "b"]}), packed, {"a": [1, "b"]}),
        (b'{\n "a" : 1 }', [], {"a": 1}),
        (None, [], None),
        (b"no json", [], "no json"),
        (b"\xff\xfe", [], {"base64": "//4="}),
        (b"\xc1", packed, {"base64": "wQ=="}),
    ]

    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
            for value, headers, _ in values:
                await producer.send_and_wait(topic_name, value, key=b"k", headers=headers, partition=0)

    assert on("produce", topic_name, "-", stdin=b"").code == 0
    asyncio.run(write())
    done = on("consume", topic_name, "--from-beginning", "--count", str(len(values)), "--timeout", "20")
    assert [json.loads(line) for line in done.out.splitlines()] == [expected for *_, expected in values]


def test_consume_ends_with_130_when_interrupted_and_leaves_no_group(
    broker: Broker, on: Run, topic_name: str
) -> None:
    assert on("produce", topic_name, "-", stdin=lines({"n": 1})).code == 0
    servers = broker.bootstrap_servers
    with Running("consume", topic_name, "--from-beginning", "--bootstrap-servers", servers) as consuming:
        assert consuming.process.stdout is not None
        assert consuming.process.stdout.readline() == b'{"n":1}\n'
        assert consuming.end(signal.SIGINT) == 130
        assert consuming.lines == []


def test_too_few_records_in_time_are_exit_code_1(on: Run, topic_name: str) -> None:
    assert on("produce", topic_name, "-", stdin=lines({"n": 1})).code == 0
    done = on("consume", topic_name, "--from-beginning", "--count", "2", "--timeout", "1")
    assert (done.code, done.out) == (1, '{"n":1}\n')
    assert done.one_line == "streamer: 1 of 2 records came; none for 1 s."


def test_consume_ends_with_its_reader(broker: Broker, on: Run, topic_name: str) -> None:
    assert (
        on("produce", topic_name, "-", stdin=lines(*({"n": n, "pad": "x" * 200} for n in range(2_000)))).code
        == 0
    )
    command = [*STREAMER, "consume", topic_name, "--from-beginning"]
    consuming = subprocess.Popen(
        command,
        env=environment(STREAMER_BOOTSTRAP_SERVERS=broker.bootstrap_servers),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert consuming.stdout is not None
    assert consuming.stderr is not None
    assert consuming.stdout.readline().startswith(b'{"n":')
    consuming.stdout.close()  # as `head -1` does
    assert consuming.wait(20) == 0
    assert consuming.stderr.read() == b""
    consuming.stderr.close()


@pytest.mark.kafka
def test_what_is_aborted_is_not_consumed(broker: Broker, on: Run, topic_name: str) -> None:
    async def write() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, transactional_id=topic_name)
        async with producer:
            for number in (1, 2):
                await producer.begin_transaction()
                await producer.send_and_wait(topic_name, lines({"n": number}).strip())
                await (producer.abort_transaction() if number == 1 else producer.commit_transaction())

    assert on("produce", topic_name, "-", stdin=b"").code == 0
    asyncio.run(write())
    assert on("consume", topic_name, "--from-beginning", "--timeout", "1").out == '{"n":2}\n'


def test_nothing_is_committed_by_consume(broker: Broker, on: Run, topic_name: str) -> None:
    assert on("produce", topic_name, "-", stdin=lines({"n": 1})).code == 0
    for _ in range(2):
        assert on("consume", topic_name, "--from-beginning", "--count", "1", "--timeout", "20").code == 0

    async def committed() -> object:
        async with AIOKafkaConsumer(
            group_id="streamer-consume", bootstrap_servers=broker.bootstrap_servers
        ) as any_:
            return await any_.committed(TopicPartition(topic_name, 0))

    assert asyncio.run(committed()) is None
