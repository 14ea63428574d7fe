"""``streamer produce``: JSON Lines into a topic."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli import logs
from streamer.cli.options import ClaimCheck, NoCreate, Servers, Verbose

if TYPE_CHECKING:
    from streamer.kafka.claims import Store
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
    claim_check: ClaimCheck = None,
    bootstrap_servers: Servers = None,
    no_create: NoCreate = False,
    verbose: Verbose = False,
) -> None:
    """Send the lines of a file to a topic, one record each.

    Lines have to be JSON; what is in them is for the topology to judge, or for streamer check. Of a file that has
    a wrong line nothing is sent. With --claim-check, lines above STREAMER_CLAIM_CHECK_BYTES (900,000) are put there,
    and the record says where.
    """
    import asyncio
    import sys

    from streamer.cli.planning import claims, reach

    logs.begin(verbose)
    store, limit = claims(claim_check)
    sent = asyncio.run(send(reach(bootstrap_servers), topic, file, key, not no_create, store, limit))
    print(f"{sent} record{'' if sent == 1 else 's'} sent to {topic}", file=sys.stderr)


async def send(
    connection: Connection,
    topic: str,
    file: str,
    key: str | None,
    create_missing: bool,
    store: Store | None,
    limit: int,
) -> int:
    """Send all lines, those above ``limit`` bytes by way of the ``store``; how many."""
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
            found, value = record(file, number, line, key)
            if store is not None and len(value) > limit:
                await outbox.send(number, found, *await checked_in(store, topic, number, value))
            else:
                await outbox.send(number, found, value)
        await outbox.flush()
    except WrongLine as error:
        await outbox.flush()
        raise WrongLine(f"{error} Lines sent before it: {outbox.sent}.") from error
    finally:
        await producer.stop()
    return outbox.sent


async def checked_in(
    store: Store, topic: str, number: int, value: bytes
) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The value and headers of a record whose line is in the store."""
    import msgspec

    from streamer.errors import StreamerError
    from streamer.kafka.claiming import Carrier, put, within
    from streamer.kafka.claims import CLAIM

    try:
        claim = await within(put, store, f"{topic}/produced", value, "json")
    except Exception as error:
        raise StreamerError(
            f"line {number} could not be put into the claim check: {type(error).__name__}: {error}"
        ) from error
    return msgspec.json.encode(Carrier(claim)), [(CLAIM, claim.location.encode())]
