"""Whatever is on the topic: the worker lives, and each record has one result or one dead letter."""

import asyncio
import json
from collections import Counter

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from confluent_kafka import Producer

from tests.chaos.fuzzing import Fuzzed, fuzzed
from tests.chaos.processes import DELIVERIES, Site, size
from tests.kafka.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.chaos, pytest.mark.timeout(600)]

UNKEYED = 20
"""Every so many-th record has no key."""


def mark(number: int) -> bytes:
    """What tells a record from all others, in its key or else in the header that results and dead letters keep."""
    return b"record-%d" % number


def produce(rig: Rig, messages: list[Fuzzed]) -> None:
    """Send them with a client that lets everything through, null values without a key too."""
    producer = Producer({"bootstrap.servers": rig.bootstrap, "linger.ms": 20, "message.max.bytes": 2_000_000})
    for number, (_, value, headers) in enumerate(messages):
        keyed = number % UNKEYED != 0
        producer.produce(
            rig.name,
            value=value,
            key=mark(number) if keyed else None,
            headers=headers if keyed else [*headers, ("traceparent", mark(number))],
            partition=number % rig.partitions,
        )
        producer.poll(0)
    assert producer.flush(60) == 0


async def marks(rig: Rig, topic: str) -> list[tuple[bytes, dict[str, bytes]]]:
    """The marks and headers of all records of a topic, whose values nobody decodes here."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=rig.bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    found = []
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    headers = dict(record.headers)
                    keyed = record.key is not None and record.key.startswith(b"record-")
                    found.append((record.key if keyed else headers["traceparent"], headers))
    finally:
        await consumer.stop()
    return found


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_every_fuzzed_message_is_accounted_for(site: Site, delivery: str):
    """Exactly one result or dead letter per record, and the committed offsets are the end offsets."""
    rig = site.rig
    messages = list(fuzzed(size(3_000), seed=17))
    await rig.create()
    module = "tests/chaos/modules/named.py"
    worker = await site.worker(
        "http://127.0.0.1:9/v1", "--delivery", delivery, module=module, TEST_TOPOLOGY=rig.name
    )
    await asyncio.to_thread(produce, rig, messages)
    await rig.all_committed(400)
    assert worker.process.returncode is None, worker.lines[-30:]
    results, letters = await marks(rig, rig.output), await marks(rig, rig.dead_letters)
    assert await worker.terminate() == 0
    assert not [line for line in worker.lines if "Traceback" in line]

    seen = Counter(mark for mark, _ in results + letters)
    assert set(seen) == {mark(number) for number in range(len(messages))}
    assert [mark for mark, times in seen.items() if times > 1] == []
    for letter, headers in letters:
        offset, partition = divmod(int(letter.removeprefix(b"record-")), rig.partitions)
        told = [headers[f"__connect.errors.{name}"] for name in ("topic", "partition", "offset")]
        assert told == [rig.name.encode(), b"%d" % partition, b"%d" % offset]
    reasons = Counter(headers["streamer-dead-letter-reason"].decode() for _, headers in letters)
    statuses = Counter(headers["streamer-status"].decode() for _, headers in results)
    print(f"{delivery}: {len(messages)} messages, {dict(statuses)}, {dict(reasons)}")


class NoText(str):
    """A header's name as no client would write it."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


async def produce_header_without_text(rig: Rig, value: bytes) -> None:
    """Protocol and broker take any bytes for a header's name."""
    producer = AIOKafkaProducer(bootstrap_servers=rig.bootstrap)
    await producer.start()
    try:
        batch = producer.create_batch()
        numbers = {"producer_id": -1, "producer_epoch": -1, "base_sequence": -1, "batch_size": 10_000}
        batch._builder = _DefaultRecordBatchBuilderPy(2, 0, is_transactional=0, **numbers)
        batch.append(timestamp=None, key=b"odd", value=value, headers=[(NoText("x"), b"x")])
        await (await producer.send_batch(batch, rig.name, partition=0))
    finally:
        await producer.stop()


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_header_whose_name_is_no_text_does_not_end_the_worker(site: Site, delivery: str):
    """The record becomes a dead letter with its key and value, and those around it are answered."""
    rig = site.rig
    task = b'{"kind": "llm", "model": "echo:", "prompt": "x"}'
    await rig.create()
    await rig.produce([task], key=b"before", partition=0)
    await produce_header_without_text(rig, task)
    await rig.produce([task], key=b"behind", partition=0)
    module = "tests/chaos/modules/named.py"
    await site.worker("http://127.0.0.1:9/v1", "--delivery", delivery, module=module, TEST_TOPOLOGY=rig.name)
    await rig.all_committed(10)
    results = await rig.read(2)
    assert {b"before", b"behind"} == {result.key for result in results}
    (letter,) = await rig.read(1, topic=rig.dead_letters)
    assert (letter.key, letter.value) == (b"odd", json.loads(task))
    assert letter.headers["\ufffd\ufffd"] == b"x"
    assert letter.headers["streamer-dead-letter-reason"] == b"decode_error"
