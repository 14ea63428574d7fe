"""A TCP proxy between a worker and its broker: it can cut the line, let it fall silent, lose answers, and heal it."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import suppress
from typing import Self

END_TXN = 26
"""The kind of request that ends a transaction, by Kafka's numbers."""


class Proxy:
    """Forwards connections to ``address`` to ``target``; both are ``host:port``.

    Cut, it drops what is open and refuses what is new. Stalled, it accepts, and holds back every byte and every
    end, as a network does that swallows packets until they are sent again. Swallowing, it forwards requests and
    loses what is answered; healed, it drops the connections on which something was lost. The address is its own
    all the time: a socket that is bound, and does not listen, keeps others off the port.
    """

    target: str
    swallowing = False
    trap: int | None = None

    async def __aenter__(self) -> Self:
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.lines: set[asyncio.Task[None]] = set()
        self.damaged: set[asyncio.Task[None]] = set()
        self.trapped = asyncio.Event()
        self.unanswered: Counter[int] = Counter()
        """Requests that were forwarded while answers were lost, by their kind."""
        self.held = socket.socket()
        self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.held.bind(("127.0.0.1", 0))
        self.host, self.port = self.held.getsockname()
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cut()
        self.held.close()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def listen(self) -> None:
        self.server = await asyncio.start_server(self.forward, self.host, self.port, reuse_port=True)

    async def cut(self) -> None:
        """Drop every connection and refuse new ones."""
        self.server.close()
        for line in self.lines:
            line.cancel()
        await asyncio.gather(*self.lines, return_exceptions=True)

    async def stall(self) -> None:
        """Forward nothing."""
        self.flowing.clear()

    async def swallow(self, kind: int) -> None:
        """Wait for a request of this kind and forward it; from its answer on lose all answers."""
        self.trapped.clear()
        self.trap = kind
        await self.trapped.wait()

    async def heal(self) -> None:
        """Forward again, what was held back too; where something was lost the connection is."""
        self.flowing.set()
        self.swallowing, self.trap = False, None
        damaged = list(self.damaged)
        for line in damaged:
            line.cancel()
        await asyncio.gather(*damaged, return_exceptions=True)
        if not self.server.is_serving():
            await self.listen()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        line = asyncio.current_task()
        assert line is not None
        self.lines.add(line)
        ends = [writer]
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self.flowing.wait()
                host, port = self.target.rsplit(":", 1)
                answers, requests = await asyncio.open_connection(host, int(port))
                ends.append(requests)
                ways = [
                    asyncio.create_task(self.carry_requests(reader, requests)),
                    asyncio.create_task(self.carry_answers(answers, writer, line)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
        finally:
            self.lines.discard(line)
            self.damaged.discard(line)
            for end in ends:
                end.transport.abort()

    async def carry_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests one by one: four bytes say how long each is, and the next two of what kind."""
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = await reader.readexactly(4)
                request = await reader.readexactly(int.from_bytes(size))
                await self.flowing.wait()
                kind = int.from_bytes(request[:2])
                if kind == self.trap:
                    self.swallowing, self.trap = True, None
                    self.trapped.set()
                if self.swallowing:
                    self.unanswered[kind] += 1
                writer.write(size + request)
                await writer.drain()
        await self.flowing.wait()

    async def carry_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: asyncio.Task[None]
    ) -> None:
        """Answers as they come, or not at all."""
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self.flowing.wait()
                if self.swallowing or line in self.damaged:
                    self.damaged.add(line)
                else:
                    writer.write(data)
                    await writer.drain()
        await self.flowing.wait()
