"""A worker on a broker: one result per task, each offset committed, bad input told apart."""

import asyncio
import json
import random
from collections import Counter

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka import Producer

from streamer import race, timeout
from streamer.providers import provider
from tests.kafka.rig import Rig

pytestmark = pytest.mark.broker


@pytest.fixture(params=["at-least-once", "exactly-once"])
def rig(request, broker, topic_name) -> Rig:
    return Rig(broker.bootstrap_servers, topic_name, delivery=request.param)


def echo(number: int, **fields) -> dict:
    return {"id": f"t{number}", "kind": "llm", "model": "echo:", "prompt": f"hello {number}", **fields}


def mixed(number: int, random: random.Random) -> dict:
    """A task of one kind or another, slow in its own way."""
    call = {
        "kind": "llm",
        "model": "simulated:mixed?latency=lognormal(0.01,0.7)&error_rate=0.1&seed=1",
        "prompt": f"question {number}",
        "retry": {"max_attempts": 5, "initial_delay": 0.01},
    }
    shape = random.choice(["llm", "parallel", "race", "fallback", "sequence", "function", "named"])
    task = {
        "llm": call,
        "parallel": {"kind": "parallel", "tasks": [call, call]},
        "named": {"kind": "parallel", "tasks": {"a": call, "b": call}},
        "race": {"kind": "race", "tasks": [call, call]},
        "fallback": {"kind": "fallback", "tasks": [call, call]},
        "sequence": {"kind": "sequence", "tasks": [call, call], "pass_result": True},
        "function": {"kind": "function", "name": "double", "arguments": {"number": number}},
    }[shape]
    return {"id": f"t{number}", "metadata": {"number": number}, **task}


async def test_every_task_gets_its_result(rig):
    """A result carries its task's id, value, metadata and headers, in its task's partition."""
    async with rig.worker():
        await rig.produce(
            [echo(1, metadata={"user": 5}, tag="first")], headers=[("traceparent", b"00-1-2-01")]
        )
        (result,) = await rig.read(1)
    assert result.value["task_id"] == "t1"
    assert result.value["status"] == "succeeded"
    assert result.value["value"] == "hello 1"
    assert result.value["metadata"] == {"user": 5}
    assert result.value["tag"] == "first"
    assert result.key == b"t1"
    assert result.headers == {
        "streamer-task-id": b"t1",
        "streamer-status": b"succeeded",
        "content-type": b"application/json",
        "traceparent": b"00-1-2-01",
    }


async def test_a_result_keeps_its_tasks_key_and_format(rig):
    """MessagePack in, MessagePack out, with the task's key."""
    task = msgspec.msgpack.encode(echo(1))
    async with rig.worker():
        await rig.produce([task], key=b"customer-7", headers=[("content-type", b"application/msgpack")])
        (result,) = await rig.read(1)
    assert result.key == b"customer-7"
    assert result.headers["content-type"] == b"application/msgpack"
    assert result.value["received_at"].endswith("Z")
    assert result.value["value"] == "hello 1"


@pytest.mark.parametrize(
    ("task", "headers", "expected"),
    [
        ({"id": "own"}, [("streamer-task-id", b"header")], "own"),
        ({}, [("streamer-task-id", b"header")], "header"),
    ],
)
async def test_the_value_names_the_task_else_the_header(rig, task, headers, expected):
    """The value's id wins over the header's."""
    async with rig.worker():
        await rig.produce([{"kind": "llm", "model": "echo:", "prompt": "x", **task}], headers=headers)
        (result,) = await rig.read(1)
    assert result.value["task_id"] == expected


async def test_a_task_without_an_id_is_named_by_its_place(rig):
    """topic-partition-offset."""
    async with rig.worker():
        await rig.produce([{"kind": "llm", "model": "echo:", "prompt": "x"}], partition=2)
        (result,) = await rig.read(1)
    assert result.value["task_id"] == f"{rig.name}-2-0"


async def test_the_header_can_bring_the_deadline(rig):
    """A task whose deadline has passed makes no call."""
    async with rig.worker():
        await rig.produce([echo(1)], headers=[("streamer-deadline", b"2020-01-01T00:00:00Z")])
        (result,) = await rig.read(1)
    assert (result.value["status"], result.value["error"]["category"]) == ("timed_out", "deadline")
    assert result.value["attempts"] == []


async def test_a_deadline_that_cannot_be_read_is_a_dead_letter(rig):
    """What the producer asked for is not dropped."""
    async with rig.worker():
        await rig.produce([echo(1)], headers=[("streamer-deadline", b"soon")])
        (letter,) = await rig.read(1, topic=rig.dead_letters)
    assert letter.headers["streamer-dead-letter-reason"] == b"validation_error"
    assert b"streamer-deadline" in letter.headers["__connect.errors.exception.message"]


BAD = [
    (b"\xff\xfe\x00", "decode_error"),
    (b'{"kind": "llm", ', "decode_error"),
    (b'{"kind": "llm", "model": "echo:", "prompt": "x", "timeout": NaN}', "decode_error"),
    (b'{"kind": "llm", "model": "echo:", "prompt": "x", "timeout": -1}', "validation_error"),
    (b'{"kind": "llm", "model": "echo:", "prompt": 7}', "validation_error"),
    (b'{"kind": "llm", "model": "echo:", "prompt": "x", "promt": "y"}', "validation_error"),
    (b'{"kind": "telepathy"}', "unknown_kind"),
    (b'{"kind":"parallel","tasks":[' * 1000 + b"]}" * 1000, "validation_error"),
    (b"[]", "validation_error"),
]


async def test_bad_input_becomes_a_dead_letter_and_the_worker_goes_on(rig):
    """Each with the reason, the original value and Kafka Connect's headers; good tasks around it are answered."""
    values = [echo(0), *(value for value, _ in BAD), None, echo(1)]
    async with rig.worker():
        await rig.produce(values, key=b"k", headers=[("mine", b"1")])
        results = await rig.read(2)
        letters = await rig.read(len(BAD) + 1, topic=rig.dead_letters)
        await rig.all_committed()
    assert {result.value["task_id"] for result in results} == {"t0", "t1"}
    reasons = Counter(letter.headers["streamer-dead-letter-reason"].decode() for letter in letters)
    assert reasons == Counter(reason for _, reason in BAD) + Counter(["decode_error"])
    first = next(letter for letter in letters if letter.headers["__connect.errors.offset"] == b"1")
    assert first.key == b"k"
    assert first.value == BAD[0][0]
    assert first.headers["mine"] == b"1"
    assert first.headers["__connect.errors.topic"] == rig.name.encode()
    assert first.headers["__connect.errors.partition"].isdigit()


async def test_a_null_value_without_a_key_is_a_dead_letter_too(rig):
    """A tombstone holds no task."""
    async with rig.worker():
        producer = Producer({"bootstrap.servers": rig.bootstrap})  # aiokafka's refuses to send one
        producer.produce(rig.name, value=None, key=None)
        assert producer.flush(10) == 0
        await rig.produce([echo(1)])
        await rig.read(1)
        (letter,) = await rig.read(1, topic=rig.dead_letters)
    assert letter.headers["streamer-dead-letter-reason"] == b"decode_error"


@pytest.mark.kafka
async def test_a_message_over_the_limit_is_a_dead_letter(rig):
    """A 2 MB message on a topic that lets it in."""
    topology = rig.topology()
    await rig.create()
    await set_limit(rig, rig.name, 10_000_000)
    async with rig.worker(topology):
        await rig.produce([echo(0, metadata={"blob": "x" * 2_000_000}), echo(1)])
        await rig.read(1)
        (letter,) = await rig.read(1, topic=rig.dead_letters)
    assert letter.headers["streamer-dead-letter-reason"] == b"too_large"
    assert letter.headers["streamer-task-id"] == b"t0"


@pytest.mark.kafka
async def test_a_result_over_the_brokers_limit_is_a_failed_one_with_the_sizes(rig):
    """What is around it is answered, in order, once."""
    topology = rig.topology()

    @topology.function
    async def large(size: int) -> str:
        return "x" * size

    tasks = [echo(number) for number in range(20)]
    tasks[7] = {"id": "t7", "kind": "function", "name": "large", "arguments": {"size": 3_000_000}}
    async with rig.worker(topology):
        await rig.produce(tasks, partition=0)
        results = await rig.read(20, settle=0.5)
        await rig.all_committed()
    found = {result.value["task_id"]: result.value for result in results}
    assert len(results) == len(found) == 20
    assert (found["t7"]["status"], found["t7"]["error"]["category"]) == ("failed", "internal")
    assert "3000" in found["t7"]["error"]["message"]
    assert all(value["status"] == "succeeded" for name, value in found.items() if name != "t7")


@pytest.mark.kafka
@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
@pytest.mark.parametrize(
    ("fields", "header"),
    [
        ({"id": "x" * 400_000}, None),
        ({"id": None}, ("streamer-task-id", b"x" * 400_000)),
        ({"id": "x" * 150_000}, ("traceparent", b"x" * 700_000)),
        ({"id": "x" * 400_000, "model": "none:"}, None),
    ],
    ids=["id", "header", "id and header", "failed"],
)
async def test_what_no_result_can_be_written_for_is_a_dead_letter_and_stops_nobody(
    rig, fields, header, delivery
):
    """The dead letter says where its record is; also where it would have been one besides its result."""
    task = {name: value for name, value in {**echo(0), **fields}.items() if value is not None}
    async with rig.worker(rig.topology(delivery=delivery, dead_letter_failed=True)):
        await rig.produce([task], partition=0, headers=[header] if header else None)
        await rig.produce([echo(number) for number in range(1, 9)], partition=0)
        results = await rig.read(8, settle=0.5)
        (letter,) = await rig.read(1, topic=rig.dead_letters, settle=0.5)
        await rig.all_committed()
    assert [result.value["task_id"] for result in results] == [f"t{number}" for number in range(1, 9)]
    assert letter.headers["streamer-dead-letter-reason"] == b"too_large"
    assert letter.headers["__connect.errors.offset"] == b"0"
    assert int(letter.headers["streamer-dead-letter-value-bytes"]) == len(json.dumps(task))


@pytest.mark.kafka
async def test_a_topic_that_takes_not_even_what_is_left_is_waited_for(rig):
    """The worker says so, and goes on when it can."""
    async with rig.worker() as worker:
        await rig.produce([echo(0)], partition=0)
        await rig.read(1)
        await set_limit(rig, rig.output, 100)
        await rig.produce([echo(1)], partition=0)
        async with asyncio.timeout(30):
            while not any("Can't write" in warning for warning in rig.warnings):
                await asyncio.sleep(0.05)
        await set_limit(rig, rig.output, 1_000_000)
        results = await rig.read(2)
        await rig.all_committed()
        assert worker.source.dispatcher.working == 0
    assert results[1].value["error"]["category"] == "internal"


async def test_what_cannot_travel_is_a_failed_result(rig):
    """NaN, and values that no format has."""
    topology = rig.topology()

    @topology.function
    async def nan() -> float:
        return float("nan")

    @topology.function
    async def odd() -> object:
        return object()

    async with rig.worker(topology):
        await rig.produce([{"id": name, "kind": "function", "name": name} for name in ("nan", "odd")])
        results = await rig.read(2)
    for result in results:
        assert (result.value["status"], result.value["error"]["category"]) == ("failed", "internal")


async def test_duplicate_ids_are_each_answered(rig):
    """Without deduplication each record with an id is answered."""
    async with rig.worker():
        await rig.produce([echo(1), echo(1)])
        results = await rig.read(2)
    assert [result.value["task_id"] for result in results] == ["t1", "t1"]


async def test_a_map_makes_a_task_of_each_item(rig):
    task = {"kind": "llm", "model": "echo:", "prompt": "{{ index }}: {{ item.word }}"}
    items = [{"word": "a"}, {"word": "b"}, {}]
    async with rig.worker():
        await rig.produce([{"id": "t", "kind": "map", "items": items, "require": "any", "task": task}])
        (result,) = await rig.read(1)
    assert (result.value["status"], result.value["value"]) == ("succeeded", ["0: a", "1: b", None])
    assert [child["status"] for child in result.value["children"]] == ["succeeded", "succeeded", "failed"]
    assert "`item.word` is undefined - at `$.task.prompt`" in result.value["children"][2]["error"]["message"]


async def test_a_consensus_says_how_many_agree(rig):
    tasks = [{"kind": "llm", "model": "echo:", "prompt": text} for text in ("It is 42.", "24", "42")]
    async with rig.worker():
        await rig.produce([{"id": "a", "kind": "consensus", "compare": "number", "tasks": tasks}])
        await rig.produce([{"id": "b", "kind": "consensus", "tasks": tasks}])
        results = {result.value["task_id"]: result.value for result in await rig.read(2)}
    assert (results["a"]["value"], round(results["a"]["agreement"], 2)) == ("It is 42.", 0.67)
    assert (results["b"]["error"]["category"], results["b"]["value"]) == ("no_agreement", None)
    assert "winner" not in results["a"]


@pytest.mark.parametrize("kind", ["workflow", "plan"])
async def test_kinds_of_a_later_version_are_failed_results_that_say_so(rig, kind):
    """Understood, not run, not pretended."""
    task = {
        "workflow": {"steps": [{"id": "a", "task": {"kind": "llm", "model": "echo:", "prompt": "x"}}]},
        "plan": {"goal": "win"},
    }[kind]
    async with rig.worker():
        await rig.produce([{"id": "t", "kind": kind, **task}])
        (result,) = await rig.read(1)
    assert (result.value["status"], result.value["error"]["category"]) == ("failed", "invalid_request")
    assert kind in result.value["error"]["message"]


async def test_a_topology_function_answers_its_own_struct(rig):
    """The annotation of the task function names what is decoded."""

    class Question(msgspec.Struct, tag="question"):
        text: str

    topology = rig.topology()
    quick = provider("echo:")

    async def answer(task):
        return await race(quick(task.text), quick("slow")).pipe(timeout(5))

    answer.__annotations__ = {"task": Question}
    topology.task(answer)
    async with rig.worker(topology):
        await rig.produce([{"type": "question", "text": "why?"}, {"type": "question", "txt": "why?"}])
        (result,) = await rig.read(1)
        await rig.read(1, topic=rig.dead_letters)
    assert (result.value["kind"], result.value["value"]) == ("question", "why?")


@pytest.mark.kafka
@pytest.mark.timeout(180)
async def test_ten_thousand_mixed_tasks_each_once_and_all_committed(rig):
    """Four partitions, kinds and latencies mixed: every id once, committed offsets equal to the end offsets."""
    chance = random.Random(7)
    topology = rig.topology(concurrency=200)

    @topology.function
    def double(number: int) -> int:
        return 2 * number

    async with rig.worker(topology):
        await rig.produce([mixed(number, chance) for number in range(10_000)])
        results = await rig.read(10_000, seconds=120, settle=1.0)
        await rig.all_committed()
    ids = Counter(result.value["task_id"] for result in results)
    assert len(ids) == len(results) == 10_000
    assert {json.dumps(result.value["metadata"]) for result in results} == {
        json.dumps({"number": number}) for number in range(10_000)
    }
    assert rig.warnings == []


@pytest.mark.kafka
async def test_a_transactional_input_is_committed_to_its_end(rig):
    """Control records behind the last task, and an aborted transaction's records, are passed over."""
    await rig.create()
    async with rig.worker():
        await rig.produce([echo(number) for number in range(50)], transactional_id=f"{rig.name}-a")
        await rig.produce([echo(number) for number in range(50, 60)], transactional_id=f"{rig.name}-a")
        results = await rig.read(60, settle=0.5)
        await rig.all_committed()
    assert len({result.value["task_id"] for result in results}) == len(results) == 60


@pytest.mark.parametrize("ordering", ["none", "key"])
async def test_results_of_a_key_come_in_input_order_when_asked(rig, ordering):
    """Ordered by key, a slow first task holds its own key and no other."""
    topology = rig.topology(ordering=ordering)

    @topology.function
    async def wait(number: int) -> int:
        await asyncio.sleep(random.uniform(0, 0.05))
        return number

    tasks = [
        {"id": f"t{number}", "kind": "function", "name": "wait", "arguments": {"number": number}}
        for number in range(200)
    ]
    async with rig.worker(topology):
        await rig.produce(tasks, key=lambda number: f"k{number % 10}".encode())
        results = await rig.read(200)
        await rig.all_committed()
    by_key: dict = {}
    for result in sorted(results, key=lambda r: (r.partition, r.offset)):
        by_key.setdefault(result.key, []).append(result.value["value"])
    ordered = all(values == sorted(values) for values in by_key.values())
    assert ordered is (ordering == "key")


async def set_limit(rig: Rig, topic: str, size: int) -> None:
    """What one message of a topic may have."""
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.bootstrap)
    await admin.start()
    try:
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})]
        )
    finally:
        await admin.close()
