"""How an answer leaves: in one piece, as a stream, or broken."""

from __future__ import annotations

import asyncio

from streamer.testing.servers.answers import Answer
from streamer.testing.servers.protocol import Connection

REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def whole(client: Connection, answer: Answer) -> bool:
    """Send an answer in one piece, or what there is to be of it; whether it was all."""
    kind, body = answer.fault.kind, answer.body()
    if kind == "truncate":
        body = body[: len(body) // 2]
    head = REPLY % len(body)
    if kind == "cut":
        client.transport.write(head + body[: len(body) // 2])
        return client.cut()
    if kind == "stall":
        client.transport.write(head)
        return await client.left()
    client.transport.write(head + body)
    return True


async def streamed(client: Connection, answer: Answer, pace: float) -> bool:
    """Send an answer's events, ``pace`` seconds apart, or together; whether it was all."""
    events, end = answer.events()
    if pace:
        client.transport.write(STREAM)
        for event in events:
            client.transport.write(b"%x\r\n%b\r\n" % (len(event), event))
            await asyncio.sleep(pace)
    else:
        frames = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
        client.transport.write(STREAM + b"".join(frames))
    if end == "cut":
        return client.cut()
    if end in ("stall", "open"):
        return await client.left()
    client.transport.write(b"0\r\n\r\n")
    return True
