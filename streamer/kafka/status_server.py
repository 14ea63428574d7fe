"""What a worker answers to whoever asks how it is: ``/status``, ``/health``, ``/ready``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from streamer.kafka.snapshot import WorkerSnapshot

if TYPE_CHECKING:
    from aiohttp import web

SUFFIX = re.compile(r"^streamer-.*-p(\d{1,5})$")


class StatusServer:
    """Serves one worker on one port; -1 serves nothing, 0 any that is free.

    ``/health`` is 503 while something is wrong that a new start would heal; ``/ready`` until partitions are open.
    """

    def __init__(
        self, host: str, port: int, snapshot: Callable[[], WorkerSnapshot], warn: Callable[[str], None]
    ) -> None:
        self.host = host
        self.port = port
        self.snapshot = snapshot
        self.warn = warn
        self.runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Begin to serve; the end of a client id that tells others the port."""
        if self.port < 0:
            return ""
        from aiohttp import web

        app = web.Application()
        app.router.add_get("/status", self.status)
        app.router.add_get("/health", self.health)
        app.router.add_get("/ready", self.ready)
        self.runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await self.runner.setup()
        try:
            await web.TCPSite(self.runner, self.host, self.port).start()
        except OSError as error:
            if not await self.elsewhere(error):
                return ""
        return f"-p{self.runner.addresses[0][1]}"

    async def elsewhere(self, error: OSError) -> bool:
        """On another port, where the wanted one is taken, by another process of this machine say."""
        from aiohttp import web

        assert self.runner is not None
        wanted = f"{self.host}:{self.port}"
        try:
            await web.TCPSite(self.runner, self.host, 0).start()
        except OSError:
            self.warn(
                f"Status can't be served on {wanted}: {error.strerror}. Set STREAMER_STATUS_HOST and "
                "STREAMER_STATUS_PORT, or STREAMER_STATUS_PORT=off; the work goes on."
            )
            return False
        port = self.runner.addresses[0][1]
        self.warn(
            f"Status is served on port {port}, for {wanted} is taken (each topology of each process needs a port "
            "of its own; STREAMER_STATUS_PORT=0 takes any)."
        )
        return True

    async def stop(self) -> None:
        """Serve no more."""
        if self.runner is not None:
            await self.runner.cleanup()
            self.runner = None

    async def status(self, request: web.Request) -> web.Response:
        """All of it."""
        del request
        return answer(200, self.snapshot())

    async def health(self, request: web.Request) -> web.Response:
        """Whether a new start would do it good; stuck tasks are told, but would only be paid for again."""
        del request
        seen = self.snapshot()
        body = {"healthy": seen.healthy, "problems": seen.problems, "stuck": seen.stuck}
        return answer(200 if seen.healthy else 503, body)

    async def ready(self, request: web.Request) -> web.Response:
        """Whether it takes tasks."""
        del request
        state = self.snapshot().state
        return answer(200 if state == "running" else 503, {"state": state})


def answer(code: int, value: object) -> web.Response:
    from aiohttp import web

    return web.Response(status=code, body=msgspec.json.encode(value), content_type="application/json")


def port_of(client_id: str) -> int | None:
    """The port that a worker's client id tells; None where it serves none, or is no worker."""
    found = SUFFIX.match(client_id)
    return int(found[1]) if found else None
