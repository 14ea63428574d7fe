"""The same with FastStream: a subscriber with ``max_workers``, and a publisher.

``max_workers`` runs messages of one partition concurrently only with ``AckPolicy.ACK_FIRST``, offsets committed by a
timer whatever became of the tasks: with any other policy it starts as many consumers instead, of which no more than
there are partitions have work. So this peer promises less than the others: what it had in hand is lost in a crash.

It is set up as fast as it goes. What costs time and is not asked for is switched off: its log (two lines a message), the
injection of dependencies by annotations (``apply_types``), the correlation ids; as it comes it needs about half as much
CPU again. Its producer lingers as long as Kafka's own does by default, for larger batches. Records go where the loop
written by hand puts them, so that no key needs to be hashed.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec
from aiokafka import ConsumerRecord
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

from benchmarks.end_to_end.by_hand import monotonic
from benchmarks.end_to_end.options import Options, options
from streamer.tasks import Llm, Task

BATCH_BYTES = 262_144
LINGER_MS = 5


def application(settings: Options) -> FastStream:
    decoder = msgspec.json.Decoder(Task)
    encoder = msgspec.json.Encoder()
    answer = settings.answer
    broker = KafkaBroker(
        settings.bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
        linger_ms=LINGER_MS,
        apply_types=False,
        logger=None,
        id_generator=str,
    )
    publisher = broker.publisher(settings.output)

    async def decode(message: KafkaMessage) -> tuple[ConsumerRecord, Llm, float]:
        return message.raw_message, decoder.decode(message.body), monotonic()

    @broker.subscriber(
        settings.input,
        group_id=settings.group,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=100,
        max_workers=settings.concurrency,
        ack_policy=AckPolicy.ACK_FIRST,
        decoder=decode,
        no_reply=True,
    )
    async def handle(decoded: tuple[ConsumerRecord, Llm, float]) -> None:
        record, task, received = decoded
        result = await answer(task, received)
        task_id = result.task_id
        await publisher.publish(
            encoder.encode(result),
            key=task_id.encode() if record.key is None else record.key,
            partition=record.partition,
            headers={
                "streamer-task-id": task_id,
                "streamer-status": result.status,
                "content-type": "application/json",
            },
        )

    app = FastStream(broker, logger=None)

    @app.after_startup
    def ready() -> None:
        print("ready", file=sys.stderr, flush=True)

    return app


if __name__ == "__main__":
    asyncio.run(application(options(__doc__)).run())
