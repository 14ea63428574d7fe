"""A provider that behaves as told: slow, failing, hanging, by the numbers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random, SystemRandom
from typing import Any, Literal, NamedTuple, Self
from urllib.parse import unquote

from streamer.errors import CallFailed, Category, SettingsError
from streamer.providers.distribution import Distribution
from streamer.providers.protocol import Request, Response
from streamer.results import Usage
from streamer.tasks import YEAR

FAILURES: dict[Category, int | None] = {
    Category.NETWORK: None,
    Category.TIMEOUT: None,
    Category.RATE_LIMIT: 429,
    Category.OVERLOADED: 529,
    Category.SERVER_ERROR: 500,
    Category.QUOTA: 429,
    Category.AUTHENTICATION: 401,
    Category.PERMISSION: 403,
    Category.INVALID_REQUEST: 400,
    Category.CONTEXT_LENGTH: 400,
    Category.CONTENT_FILTER: 400,
    Category.INVALID_RESPONSE: None,
}
"""How a provider can fail, and the HTTP status that goes with it."""


class Draw(NamedTuple):
    """What is to become of one call. ``latency`` is in seconds."""

    latency: float
    outcome: Literal["answer", "error", "hang", "truncation"]
    output_tokens: int | None


class Simulated:
    """A provider whose latency and failures follow distributions.

    ``latency`` is in seconds: a number, ``fixed(s)``, ``uniform(a,b)`` or ``lognormal(median,sigma)``. Of all
    calls ``error_rate`` fail, with the category ``error`` (``server_error``) and perhaps ``retry_after``
    seconds; ``hang_rate`` never end unless cancelled; ``truncation_rate`` fail as a stream that was cut does,
    ``invalid_response``. The rates are shares from 0 to 1, together at most 1. Errors come after the latency.
    The answer is ``text``, else the last message's. Usage counts a token per four characters, or
    ``output_tokens``, a number or a distribution.

    Invariant: the n-th call's draw depends on the seed and n alone, and its latency not on the rates.
    """

    ends_when_cancelled = True
    streams = False

    def __init__(
        self,
        name: str = "simulated",
        *,
        latency: float | str = 0.0,
        error_rate: float = 0.0,
        hang_rate: float = 0.0,
        truncation_rate: float = 0.0,
        error: Category | str = Category.SERVER_ERROR,
        retry_after: float | None = None,
        output_tokens: float | str | None = None,
        text: str | None = None,
        seed: int | None = None,
    ) -> None:
        self.name = name
        self.latency = Distribution.parse(latency, "latency")
        rates = {"error_rate": error_rate, "hang_rate": hang_rate, "truncation_rate": truncation_rate}
        for rate, share in rates.items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise SettingsError(f"{rate} is from 0 to 1, not {share!r}.")
        if sum(rates.values()) > 1:
            raise SettingsError(f"{', '.join(rates)} are together at most 1, not {sum(rates.values()):g}.")
        if error not in FAILURES:
            raise SettingsError(f"error is one of {', '.join(FAILURES)}, not {error!r}.")
        if retry_after is not None and not 0 <= retry_after <= YEAR:
            raise SettingsError(f"retry_after is in seconds, from 0 to {YEAR}, not {retry_after!r}.")
        if seed is not None and not isinstance(seed, int):
            raise SettingsError(f"seed is a whole number, not {seed!r}.")
        self.error = Category(error)
        self.error_rate, self.hang_rate, self.truncation_rate = error_rate, hang_rate, truncation_rate
        self.retry_after = retry_after
        self.output_tokens = (
            None if output_tokens is None else Distribution.parse(output_tokens, "output_tokens", 1e9)
        )
        self.text = text
        self.seed = SystemRandom().getrandbits(64) if seed is None else seed
        self._draws = self.draws()

    @classmethod
    def parse(cls, text: str, **settings: Any) -> Self:
        """From ``NAME?latency=lognormal(0.3,0.5)&error_rate=0.01&seed=7`` and perhaps further settings."""
        name, _, query = text.partition("?")
        for pair in filter(None, query.split("&")):
            key, _, value = pair.partition("=")
            convert = SETTINGS.get(key)
            if convert is None:
                raise SettingsError(f"simulated has no setting {key!r}; it has {', '.join(SETTINGS)}.")
            if key in settings:
                raise SettingsError(f"simulated: {key} is given twice.")
            try:
                settings[key] = convert(unquote(value))
            except ValueError:
                kind = "whole number" if convert is int else "number"
                raise SettingsError(f"simulated: {key} is a {kind}, not {value!r}.") from None
        unknown = sorted(set(settings) - set(SETTINGS))
        if unknown:
            raise SettingsError(f"simulated has no setting {unknown[0]!r}; it has {', '.join(SETTINGS)}.")
        return cls(name or "simulated", **settings)

    def draws(self) -> Iterator[Draw]:
        """All draws from the first call on; three variates each."""
        random = Random(self.seed).random
        failing = self.error_rate
        hanging = failing + self.hang_rate
        cut = hanging + self.truncation_rate
        tokens = self.output_tokens
        while True:
            latency, share, many = self.latency.quantile(random()), random(), random()
            yield Draw(
                latency,
                "answer"
                if share >= cut
                else "error"
                if share < failing
                else "hang"
                if share < hanging
                else "truncation",
                None if tokens is None else round(tokens.quantile(many)),
            )

    def latencies(self, n: int) -> list[float]:
        """The latencies of the first ``n`` calls, in seconds, whatever was called so far."""
        return [draw.latency for draw in islice(self.draws(), n)]

    async def answer(self, request: Request) -> Response:
        """Behave as drawn; raises :class:`CallFailed`."""
        draw = next(self._draws)
        if draw.outcome == "hang":
            await asyncio.sleep(math.inf)
        if draw.latency:
            await asyncio.sleep(draw.latency)
        if draw.outcome == "error":
            raise CallFailed(
                self.error,
                f"{self.name} failed as it was told to.",
                provider=self.name,
                http_status=FAILURES[self.error],
                retry_after=self.retry_after,
            )
        if draw.outcome == "truncation":
            raise CallFailed(
                Category.INVALID_RESPONSE,
                f"The stream of {self.name} ended without a finish reason: the answer is not whole.",
                provider=self.name,
            )
        prompt = request.prompt
        text = prompt if self.text is None else self.text
        output = tokens_of(text) if draw.output_tokens is None else draw.output_tokens
        return Response(
            text=text, model=self.name, usage=Usage(input_tokens=tokens_of(prompt), output_tokens=output)
        )


SETTINGS: dict[str, Callable[[str], Any]] = {
    "latency": str,
    "error_rate": float,
    "hang_rate": float,
    "truncation_rate": float,
    "error": str,
    "retry_after": float,
    "output_tokens": str,
    "text": str,
    "seed": int,
}
"""What :meth:`Simulated.parse` takes."""


def tokens_of(text: str) -> int:
    """About a token per four characters."""
    return (len(text) + 3) // 4
