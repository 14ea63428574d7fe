"""``streamer produce``: JSON Lines into a topic."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli import logs
from streamer.cli.options import NoCreate, Servers, Verbose

if TYPE_CHECKING:
    from streamer.kafka.connection import Connection


def produce(
    topic: Annotated[
        str, typer.Argument(metavar="TOPIC", show_default=False, help="The input of a topology.")
    ],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", show_default=False, help="JSON Lines, a task each; - is standard input."
        ),
    ],
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="FIELD", help="Take the record's key from there: id, or metadata.user."
        ),
    ] = None,
    bootstrap_servers: Servers = None,
    no_create: NoCreate = False,
    verbose: Verbose = False,
) -> None:
    """Send the lines of a file to a topic, one record each.

    Lines have to be JSON; what is in them is for the topology to judge, or for streamer check. Of a file that has
    a wrong line nothing is sent.
    """
    import asyncio
    import sys

    from streamer.cli.planning import reach

    logs.begin(verbose)
    sent = asyncio.run(send(reach(bootstrap_servers), topic, file, key, not no_create))
    print(f"{sent} record{'' if sent == 1 else 's'} sent to {topic}", file=sys.stderr)


async def send(connection: Connection, topic: str, file: str, key: str | None, create_missing: bool) -> int:
    """Send all lines; how many."""
    from aiokafka import AIOKafkaProducer

    from streamer.cli.lines import WrongLine, check_file, lines, record
    from streamer.cli.outbox import Outbox
    from streamer.kafka.topics import DEAD_LETTER_BYTES, Wanted, ensure

    check_file(file, key)
    say = logging.getLogger("streamer").warning
    await ensure(connection, [Wanted(topic)], create_missing=create_missing, say=say)
    producer = AIOKafkaProducer(
        **connection.client("streamer-produce"),
        enable_idempotence=True,
        acks="all",
        linger_ms=5,
        max_request_size=DEAD_LETTER_BYTES,
    )
    await producer.start()
    outbox = Outbox(producer, topic)
    try:
        async for number, line in lines(file):
            await outbox.send(number, *record(file, number, line, key))
        await outbox.flush()
    except WrongLine as error:
        await outbox.flush()
        raise WrongLine(f"{error} Lines sent before it: {outbox.sent}.") from error
    finally:
        await producer.stop()
    return outbox.sent
