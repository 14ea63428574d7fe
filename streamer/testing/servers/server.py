"""The server: what it was told decides, and it counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from streamer.providers.simulated import Draw, Simulated
from streamer.testing.servers.answers import Answer, refusal, usage_of
from streamer.testing.servers.calls import Call, Log, prompt_of
from streamer.testing.servers.faults import WELL, Fault, Rule, drawn
from streamer.testing.servers.protocol import Connection
from streamer.testing.servers.sending import streamed, whole


class FaultServer:
    """Serves ``POST /v1/chat/completions`` on 127.0.0.1, whole and streamed; it answers with the last message's text.

    ``rule`` is a :class:`Fault` for every call, an iterable with one for each (None, and beyond its end:
    answered well), or a function of the :class:`Call`. Without a rule the settings of
    :class:`streamer.providers.simulated.Simulated` (``error_rate``, ``hang_rate``, ``truncation_rate``,
    ``seed`` …) decide; with one, still the ``latency``. ``pace`` is the seconds between two events of a
    stream; at 0 they come together. ``log`` is a file that gets a line of JSON for each call received and for
    each answered, at once.

    ``received`` and ``answered`` are counts; ``calls`` are all of them in order, unless ``keep`` is false;
    ``connections`` is how many were opened, ``clients`` those that are.

    It is by hand, not on aiohttp, for half the CPU of it, and for faults in the bytes; it reads what clients
    of chat completions send, a POST with a Content-Length, and nothing else of HTTP.
    """

    def __init__(
        self,
        rule: Rule | None = None,
        *,
        port: int = 0,
        pace: float = 0.0,
        log: str | None = None,
        keep: bool = True,
        **simulated: Any,
    ) -> None:
        self.port = port
        self.pace = pace
        self.keep = keep
        self.calls: list[Call] = []
        self.received = self.answered = self.connections = 0
        self.clients: set[Connection] = set()
        self.simulated = Simulated("server", **simulated)
        self._draws = self.simulated.draws()
        self.rule = rule
        self._log = Log(log) if log is not None else None
        self._server: asyncio.Server | None = None
        self._answering = asyncio.Event()
        self._answering.set()

    @property
    def url(self) -> str:
        """The base URL for a client."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def rule(self) -> Rule | None:
        """What decides; set anew, it holds from the next call on."""
        return self._rule

    @rule.setter
    def rule(self, rule: Rule | None) -> None:
        self._rule: Fault | Iterator[Fault | None] | Callable[[Call], Fault | None] | None
        self._rule = iter(rule) if isinstance(rule, Iterable) else rule

    def hold(self) -> None:
        """Receive, and answer nothing, until told to ``release``."""
        self._answering.clear()

    def release(self) -> None:
        """Answer again, what was held back first."""
        self._answering.set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self.connection, "127.0.0.1", self.port, backlog=4_096)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [client.task for client in self.clients if client.task is not None]
        for client in tuple(self.clients):
            client.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self._log is not None:
            self._log.close()

    def connection(self) -> Connection:
        """What serves the next client."""
        self.connections += 1
        return Connection(self.handle, self.clients)

    def fault(self, call: Call, draw: Draw) -> Fault:
        """What is to become of a call."""
        rule = self._rule
        if isinstance(rule, Fault):
            return rule
        if callable(rule):
            return rule(call) or WELL
        if rule is not None:
            return next(rule, None) or WELL
        return drawn(draw, self.simulated)

    async def handle(self, client: Connection, headers: dict[str, str], body: dict[str, Any]) -> None:
        """Receive one call, and answer it or not."""
        self.received += 1
        call = Call(
            number=self.received,
            received_at=time.time(),
            attempt_id=headers.get("idempotency-key", ""),
            prompt=prompt_of(body),
            body=body,
            headers=headers,
        )
        if self.keep:
            self.calls.append(call)
        if self._log is not None:
            self._log.tell("received", call.received_at, call)
        draw = next(self._draws)
        fault = self.fault(call, draw)
        call.fault = fault.kind
        if (wait := draw.latency + fault.delay) > 0:
            await asyncio.sleep(wait)
        await self._answering.wait()
        if await self.send(client, call, fault, draw):
            call.answered_at = time.time()
            self.answered += 1
            if self._log is not None:
                self._log.tell("answered", call.answered_at, call)

    async def send(self, client: Connection, call: Call, fault: Fault, draw: Draw) -> bool:
        """Send what a call gets; whether it was all that there is."""
        if fault.kind == "hang":
            return await client.left()
        if fault.kind == "reset":
            return client.reset()
        if fault.kind == "status":
            call.status = fault.status
            client.transport.write(refusal(fault))
            return True
        call.status = 200
        text = next(text for text in (fault.text, self.simulated.text, call.prompt) if text is not None)
        usage = fault.usage or usage_of(call.prompt, text, draw.output_tokens)
        answer = Answer(call, fault, text, usage)
        if call.body.get("stream"):
            return await streamed(client, answer, self.pace)
        return await whole(client, answer)
