"""A TCP proxy between a worker and its broker: it can cut the line, or let it fall silent, and heal it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Self


class Proxy:
    """Forwards connections to ``address`` to ``target``; both are ``host:port``.

    Cut, it drops what is open and refuses what is new. Stalled, it accepts, and holds back every byte and every
    end, as a network does that swallows packets until they are sent again. The address is its own all the time:
    a socket that is bound, and does not listen, keeps others off the port.
    """

    target: str

    async def __aenter__(self) -> Self:
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.lines: set[asyncio.Task[None]] = set()
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

    async def heal(self) -> None:
        """Forward again, what was held back too."""
        self.flowing.set()
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
                    asyncio.create_task(self.carry(reader, requests)),
                    asyncio.create_task(self.carry(answers, writer)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
        finally:
            self.lines.discard(line)
            for end in ends:
                end.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction."""
        with suppress(OSError):
            while True:
                data = await reader.read(65_536)
                await self.flowing.wait()
                if not data:
                    return
                writer.write(data)
                await writer.drain()
