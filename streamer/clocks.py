"""The clocks of one attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from math import inf
from typing import Any

from msgspec.structs import asdict

from streamer.errors import TimedOut, contain
from streamer.scope import Scope, outcome
from streamer.tasks import Timeouts


class Pace:
    """When an answer is late, of which tokens arrive; instants are on any one clock.

    Invariants: before the first token ``first_token`` counts, from the beginning; after it ``between_tokens``, from
    the last; ``attempt`` always.
    """

    def __init__(self, began: float, clocks: Timeouts) -> None:
        self.began = began
        self.clocks = clocks
        self.last: float | None = None
        """When a token arrived."""

    def due(self) -> tuple[float, str]:
        """When it is late unless something happens, and what is to be said then."""
        clocks = self.clocks
        end, said = inf, ""
        if clocks.attempt is not None:
            end, said = self.began + clocks.attempt, f"No answer within {clocks.attempt:g} s."
        if self.last is None:
            seconds, since = clocks.first_token, self.began
            late = f"No first token within {seconds:g} s (first_token)." if seconds is not None else ""
        else:
            seconds, since = clocks.between_tokens, self.last
            late = f"No further token within {seconds:g} s (between_tokens)." if seconds is not None else ""
        return (since + seconds, late) if seconds is not None and since + seconds < end else (end, said)


async def paced(scope: Scope, work: Coroutine[Any, Any, Any], pace: Pace, name: str) -> Any:
    """Run ``work`` as a task of its own, as long as it is not late; then cancel it and await it within the grace."""
    task = scope.start(contain(work))
    try:
        while not task.done():
            at, said = pace.due()
            left = at - scope.now()
            if left <= 0:
                raise TimedOut(said, provider=name)
            # a token sets another clock going, so look again before that can have run out
            left = min(left, pace.clocks.between_tokens or inf)
            await asyncio.wait((task,), timeout=None if left == inf else left)
    except BaseException:
        await scope.cancel((task,))
        raise
    return outcome(task)


def tightest(one: Timeouts | None, other: Timeouts) -> Timeouts:
    """Of each clock the shorter of two."""
    if one is None:
        return other
    mine, theirs = asdict(one), asdict(other)
    pairs = {name: [s for s in (mine[name], theirs[name]) if s is not None] for name in mine}
    return Timeouts(**{name: min(found, default=None) for name, found in pairs.items()})


def unfit(clocks: Timeouts, provider: Any, name: str) -> str | None:
    """Why a provider can't keep to such clocks, as far as can be known before it is asked."""
    if clocks.connect is not None and not getattr(provider, "connects", False):
        return f"`timeout.connect`: {name} has no connection that could be seen; leave it out."
    for clock in ("first_token", "between_tokens"):
        if getattr(clocks, clock) is not None and getattr(provider, "streams", None) is False:
            return f"`timeout.{clock}`: {name} answers in one piece; `timeout.attempt` bounds that."
    return None
