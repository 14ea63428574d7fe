"""A provider that says what it is told: back, or from a script."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from inspect import isawaitable
from typing import Any

from streamer.errors import CallFailed, Category, SettingsError
from streamer.providers.protocol import Request, Response

CALLS = 10_000
Line = Any
"""A text, an exception (raised), a Response, any other value, or a function of the Request that gives one."""
Script = Iterable[Line] | Callable[[Request], Line] | Mapping[str, Line]


class Echo:
    """Answers with the last message's text, at once; nothing is counted, so there is no usage.

    With a ``script`` it answers from there, for tests of a topology: a queue of lines, a function of the
    Request, or a mapping of regular expressions to lines, of which the first that is found in the last
    message counts. A line is a text, an exception (raised), a :class:`Response`, any other value, or a
    function of the Request that gives one; it is awaited if need be. Where the script has nothing to say (it
    is over, no pattern is found, the line is None) it echoes, or with ``strict`` raises :class:`CallFailed`,
    ``invalid_request``, which names the prompt.

    ``calls`` holds the last 10,000 Requests in the order they came, with a script or with ``keep_calls``.
    """

    ends_when_cancelled = True
    free = True
    streams = False

    def __init__(
        self, script: Script | None = None, *, strict: bool = False, keep_calls: bool = False
    ) -> None:
        self.strict = strict
        self.calls: deque[Request] = deque(maxlen=CALLS)
        self._plain = script is None and not keep_calls
        self._say = None if script is None else speaker(script)

    async def answer(self, request: Request) -> Any:
        """The next line, else the last message's text."""
        if self._plain:
            return Response(text=request.prompt)
        self.calls.append(request)
        if self._say is None:
            return Response(text=request.prompt)
        line = self._say(request)
        if callable(line):
            line = line() if isinstance(line, type) else line(request)
        if isawaitable(line):
            line = await line
        if line is None:
            if self.strict:
                prompt = request.prompt if len(request.prompt) <= 200 else f"{request.prompt[:200]}…"
                raise CallFailed(Category.INVALID_REQUEST, f"The script has no answer to {prompt!r}.")
            line = request.prompt
        if isinstance(line, BaseException):
            raise line.with_traceback(None)  # one exception may be raised many times
        return Response(text=line) if isinstance(line, str) else line


def speaker(script: Script) -> Callable[[Request], Line]:
    """What gives the line for a request; None where there is none."""
    if isinstance(script, Mapping):
        patterns = [(re.compile(pattern), line) for pattern, line in script.items()]
        return lambda request: next((line for found, line in patterns if found.search(request.prompt)), None)
    if callable(script):
        return script
    if isinstance(script, Iterable) and not isinstance(script, str | bytes):
        lines = iter(script)
        return lambda _: next(lines, None)
    raise SettingsError(
        "echo: script is an iterable of answers, a function of the request, or a mapping of patterns to "
        f"answers, not {type(script).__name__}; [answer] answers once, {{'': answer}} always."
    )
