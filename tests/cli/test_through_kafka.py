"""Tasks in, results out, by commands alone."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.brokers import Broker
from tests.cli.shell import STREAMER, Done, Running, environment, streamer

pytestmark = pytest.mark.broker
Run = Callable[..., Done]


@pytest.fixture
def on(broker: Broker) -> Run:
    """Runs a command on the session's broker."""

    def run(*arguments: str, **more) -> Done:
        return streamer(*arguments, "--bootstrap-servers", broker.bootstrap_servers, **more)

    return run


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def records(broker: Broker, topic: str, count: int) -> list[tuple[bytes | None, bytes | None]]:
    """Keys and values, read by another client."""

    async def read() -> list[tuple[bytes | None, bytes | None]]:
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest"
        )
        async with consumer:
            return [
                (r.key, r.value)
                for r in [await asyncio.wait_for(consumer.getone(), 20) for _ in range(count)]
            ]

    return asyncio.run(read())


def test_what_is_produced_is_answered_and_can_be_consumed(
    broker: Broker, on: Run, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    tasks, results = unique_name("tasks"), unique_name("results")
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(
        lines(
            *({"id": f"t{n}", "kind": "llm", "model": "echo:", "prompt": f"question {n}"} for n in range(20))
        )
        + b"\n"
        + lines(
            {"id": "t20", "kind": "function", "name": "add", "arguments": [2, 3]},
            {"id": "t21", "kind": "nope"},
        )
    )
    produced = on("produce", tasks, str(file), "--key", "id")
    assert (produced.code, produced.out) == (0, "")
    assert produced.err.splitlines()[-1] == f"22 records sent to {tasks}"

    flags = ["--input", tasks, "--output", results, "--group", tasks]
    with Running(
        "run", "topologies/tasks.py", *flags, STREAMER_BOOTSTRAP_SERVERS=broker.bootstrap_servers
    ) as worker:
        assert f"{tasks} -> {results}, group {tasks}, 4 partitions" in worker.until("ready")
        consumed = on("consume", results, "--from-beginning", "--count", "21", "--timeout", "20")
        assert (consumed.code, consumed.err) == (0, "")
        assert worker.end(signal.SIGTERM) == 0
        assert [line for line in worker.lines if "ready" in line] == [worker.until("ready")]
    found = {result["task_id"]: result for result in map(json.loads, consumed.out.splitlines())}
    assert {key: result["value"] for key, result in found.items()} == {
        f"t{n}": f"question {n}" for n in range(20)
    } | {"t20": 5}
    assert dict(records(broker, results, 21)).keys() == {f"t{n}".encode() for n in range(21)}


def test_the_key_is_the_text_of_the_field(broker: Broker, on: Run, topic_name: str) -> None:
    stdin = lines({"user": {"name": "ä b"}}, {"user": {"name": 7}}, {"user": {"name": True}}).rstrip(b"\n")
    done = on("produce", topic_name, "-", "--key", "user.name", stdin=stdin)
    assert (done.code, done.err.splitlines()[-1]) == (0, f"3 records sent to {topic_name}")
    assert {key for key, _ in records(broker, topic_name, 3)} == {"ä b".encode(), b"7", b"true"}


def test_values_are_sent_as_they_are_written(broker: Broker, on: Run, topic_name: str) -> None:
    assert on("produce", topic_name, "-", stdin=b'  {"a" : 1.0}\r\n').code == 0
    assert records(broker, topic_name, 1) == [(None, b'{"a" : 1.0}')]


def test_of_a_file_with_a_wrong_line_nothing_is_sent(on: Run, topic_name: str, tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(lines({"id": "a"}, {"di": "b"}))
    done = on("produce", topic_name, str(file), "--key", "id")
    assert (done.code, done.one_line.startswith(f"streamer: {file}, line 2: no key:")) == (2, True)
    assert on("produce", topic_name, "-", stdin=lines({"only": 1})).code == 0
    assert on("consume", topic_name, "--from-beginning", "--timeout", "1").out == '{"only":1}\n'


def test_of_standard_input_the_lines_before_a_wrong_one_are_sent_and_counted(
    on: Run, topic_name: str
) -> None:
    done = on("produce", topic_name, "-", stdin=lines({"n": 1}, {"n": 2}) + b"nope\n" + lines({"n": 3}))
    assert done.code == 2
    assert "standard input, line 3: not JSON" in done.err
    assert done.err.rstrip().endswith("Lines sent before it: 2.")
    shown = on("consume", topic_name, "--from-beginning", "--timeout", "1").out.splitlines()
    assert sorted(shown) == ['{"n":1}', '{"n":2}']


def test_a_missing_topic_is_made_by_produce_and_refused_by_request(on: Run, topic_name: str) -> None:
    refused = on("produce", topic_name, "-", "--no-create", stdin=b"{}")
    assert (refused.code, f"Missing topics: '{topic_name}'" in refused.one_line) == (2, True)
    made = on("produce", topic_name, "-", stdin=b"{}")
    assert made.code == 0
    assert f"Topic '{topic_name}' (topic) was missing; made with 4 partitions." in made.err


def test_a_missing_topic_cannot_be_consumed(on: Run, topic_name: str) -> None:
    done = on("consume", topic_name)
    assert (done.code, f"Topic '{topic_name}' does not exist" in done.one_line) == (2, True)


def test_missing_topics_are_refused_by_run_with_no_create(on: Run, topic_name: str) -> None:
    output = f"{topic_name}-out"
    done = on("run", "topologies/tasks.py", "--input", topic_name, "--output", output, "--no-create")
    assert done.code == 2
    assert f"Missing topics: '{topic_name}' (input), '{output}' (output)" in done.one_line
    assert "Create them with `streamer topics MODULE`, or run without --no-create." in done.one_line


def test_topics_shows_what_a_module_needs_and_makes_what_is_missing(
    on: Run, topic_name: str, tmp_path: Path
) -> None:
    module = tmp_path / "needs.py"
    module.write_text(f"from streamer import Topology\nt = Topology('{topic_name}', '{topic_name}-out')\n")

    def shown(*flags: str) -> list[list[str]]:
        done = on("topics", str(module), *flags)
        assert (done.code, done.err) == (0, "")
        return [line.replace("dead letters", "dead-letters").split() for line in done.out.splitlines()[1:]]

    assert [row[-1] for row in shown("--dry-run")] == ["missing"] * 3
    assert [row[-1] for row in shown()] == ["made"] * 3
    rows = shown()
    assert [row[1:3] for row in rows] == [
        ["input", topic_name],
        ["output", f"{topic_name}-out"],
        ["dead-letters", f"{topic_name}.dead-letters"],
    ]
    assert [row[-1] for row in rows] == ["exists"] * 3


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


@pytest.mark.kafka
def test_a_topic_whose_creation_is_refused_is_one_line(on: Run, topic_name: str) -> None:
    taken = f"{topic_name}.x"
    assert on("produce", taken, "-", stdin=b"").code == 0
    like_it = taken.replace(".", "_")  # Kafka refuses names that differ in nothing else
    done = on("run", "topologies/tasks.py", "--input", like_it, "--output", f"{topic_name}-out")
    assert done.code == 2
    assert (
        f"Topic '{like_it}' (input) is missing and its creation was refused: InvalidTopicError"
        in done.one_line
    )


@pytest.mark.kafka
def test_produce_says_which_line_the_broker_refused(on: Run, topic_name: str) -> None:
    done = on("produce", topic_name, "-", stdin=lines({"n": 1}, {"n": "x" * 2_000_000}))
    assert done.code == 2
    assert "line 2 was refused by the broker: MessageSizeTooLargeError" in done.err
    assert "Traceback" not in done.err


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
