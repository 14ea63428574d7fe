"""Plays the demo: a producer, a worker and a consumer, over one broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streamer.cli.demo.counts import Counts
from streamer.cli.demo.samples import DEAD, samples
from streamer.cli.demo.screen import Screen
from streamer.cli.demo.topology import make
from streamer.errors import StreamerError
from streamer.kafka.connection import Connection
from streamer.results import Result
from streamer.settings import resolve
from streamer.worker import Worker

OUTSTANDING = 150
"""Tasks that are sent and not answered; the embedded broker would drop the oldest of too many."""
AT_MOST = 60.0
RESULTS = msgspec.json.Decoder(Result)


class DeadLetter(NamedTuple):
    """The record that is no task, as it ended up in the dead letters."""

    topic: str
    reason: str
    sentence: str
    value: str


class Played(NamedTuple):
    """What there is to tell."""

    counts: Counts
    seconds: float
    dead_letter: DeadLetter


async def play(address: str, total: int, screen: Screen) -> Played:
    """Send the samples, answer them, read the results back."""
    topology = make()
    tasks = samples(total)
    counts = Counts(Counter(task["kind"] for task in tasks if task is not DEAD))
    connection = Connection(bootstrap_servers=address)
    warnings: list[str] = []
    worker = Worker(
        topology,
        resolve({}, topology.settings, {}).settings,
        connection,
        listener=counts.event,
        warn=warnings.append,
    )
    loop = asyncio.get_running_loop()
    screen.say(f"[bold]Streamer demo[/bold]: {total} tasks, {topology.input} → worker → {topology.output}")
    async with AsyncExitStack() as stack:
        stack.enter_context(screen)
        screen.waiting("An embedded Kafka broker is up; the worker joins its group, which takes 3 s …")
        await worker.start()
        stack.push_async_callback(worker.stop)
        await worker.ready()
        client = connection.client("streamer-demo")
        producer = await stack.enter_async_context(AIOKafkaProducer(**client, enable_idempotence=True))
        dead_letters = f"{topology.name}.dead-letters"
        consumer = await stack.enter_async_context(
            AIOKafkaConsumer(topology.output, dead_letters, **client, auto_offset_reset="earliest")
        )
        began = loop.time()
        room = asyncio.Semaphore(OUTSTANDING)
        sending = loop.create_task(send(producer, topology.input, tasks, room))
        reading = loop.create_task(read(consumer, dead_letters, room, counts))
        drawing = loop.create_task(draw(screen, counts, began))
        for task in (sending, reading, drawing):
            stack.callback(task.cancel)
        ending = loop.create_task(worker.ended())
        await asyncio.wait((reading, ending), timeout=AT_MOST, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            raise StreamerError(stuck(ending, counts, warnings))
        return Played(counts, loop.time() - began, reading.result())


async def send(
    producer: AIOKafkaProducer, topic: str, tasks: list[dict[str, Any]], room: asyncio.Semaphore
) -> None:
    """Send the samples, never too many ahead of the results."""
    for task in tasks:
        await room.acquire()
        await producer.send(topic, msgspec.json.encode(task))


async def read(
    consumer: AIOKafkaConsumer, dead_letters: str, room: asyncio.Semaphore, counts: Counts
) -> DeadLetter:
    """Read until there is a result or a dead letter for every task."""
    letter: DeadLetter | None = None
    while counts.answered + counts.dead < counts.total:
        for messages in (await consumer.getmany(timeout_ms=100)).values():
            for message in messages:
                room.release()
                if message.topic == dead_letters:
                    counts.dead += 1
                    letter = dead_letter(message)
                else:
                    counts.result(RESULTS.decode(message.value))
    assert letter is not None
    return letter


def dead_letter(message: Any) -> DeadLetter:
    headers = {name: value.decode() for name, value in message.headers}
    return DeadLetter(
        message.topic,
        headers["streamer-dead-letter-reason"],
        headers["__connect.errors.exception.message"],
        message.value.decode(),
    )


async def draw(screen: Screen, counts: Counts, began: float) -> None:
    """Show where we are, over and over."""
    loop = asyncio.get_running_loop()
    while True:
        screen.progress(counts, loop.time() - began)
        await asyncio.sleep(0.08)


def stuck(ending: asyncio.Task[None], counts: Counts, warnings: list[str]) -> str:
    """Why the demo did not come to its end."""
    why = (
        str(ending.exception())
        if ending.done()
        else f"{counts.answered} of {counts.total} results in {AT_MOST:g} s"
    )
    return f"The demo failed: {why}. {' '.join(warnings)}".strip()
