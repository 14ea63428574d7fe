"""As much of HTTP as clients of chat completions speak."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any, cast

import msgspec

from streamer.testing.servers.answers import refusal
from streamer.testing.servers.faults import Fault

REQUEST_LINE = "POST /v1/chat/completions "


class Connection(asyncio.Protocol):
    """A client's connection: one call at a time, the next when it is answered.

    ``handle`` answers a call, given its headers and its body; ``clients`` are the connections that are open.
    """

    transport: asyncio.Transport

    def __init__(self, handle: Handle, clients: set[Connection]) -> None:
        self.handle = handle
        self.clients = clients
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None
        self.loop = asyncio.get_running_loop()
        self.gone = self.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.clients.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.clients.discard(self)
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.task is None:
            self.next()

    def next(self) -> None:
        """Begin the next call, if all of it is here."""
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        line, *fields = head.decode("latin-1").split("\r\n")
        pairs = (field.partition(":") for field in fields)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        if not line.startswith(REQUEST_LINE):
            self.transport.write(refusal(Fault(status=404, message=f"Only {REQUEST_LINE}is here.")))
            return
        try:
            body = msgspec.json.decode(rest[:length], type=dict[str, Any])
        except msgspec.DecodeError as error:
            self.transport.write(refusal(Fault(status=400, message=str(error))))
            return
        self.task = self.loop.create_task(self.handle(self, headers, body))
        self.task.add_done_callback(self.ended)

    def ended(self, task: asyncio.Task[None]) -> None:
        """Go on with what has arrived meanwhile."""
        self.task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "The rule of a FaultServer raised", "exception": error}
            self.loop.call_exception_handler(context)
            self.transport.abort()
        elif self.buffer and not self.transport.is_closing():
            self.next()

    async def left(self) -> bool:
        """Wait until the client has left."""
        await self.gone
        return False

    def cut(self) -> bool:
        """Drop the connection."""
        self.transport.abort()
        return False

    def reset(self) -> bool:
        """Drop the connection with a TCP reset."""
        options = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, options)
        return self.cut()


Handle = Callable[[Connection, dict[str, str], dict[str, Any]], Coroutine[Any, Any, None]]
