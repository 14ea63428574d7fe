"""When the next contender of a race starts, while those before it have not answered: pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from math import ceil, inf
from typing import Literal

from streamer.limits import ExtraCalls

KEPT = 200
"""Durations, the latest, of which the 95th percentile is taken."""
ENOUGH = 20
"""With fewer than these the percentile means nothing yet."""
UNKNOWN = 2.0
"""Seconds to wait until then."""
NAMES = 1_000

Delay = float | Literal["p95"]


class Durations:
    """The latest durations of answers, in seconds, and their 95th percentile."""

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest: deque[float] = deque(maxlen=KEPT)

    def p95(self) -> float | None:
        """At most so long took 95 of 100; None while too few are known."""
        if len(self.latest) < ENOUGH:
            return None
        return sorted(self.latest)[ceil(0.95 * len(self.latest)) - 1]


class Hedging:
    """What a process knows of how long answers take, and how many extra starts it may make.

    Durations are kept by whom a contender asks (provider and model), for the 1,000 that were asked last. A loser that was
    cancelled beyond the percentile counts with the time it had taken, so that the slow ones are not forgotten because
    others overtook them.
    """

    def __init__(self, budget: ExtraCalls | None = None) -> None:
        self.budget = budget if budget is not None else ExtraCalls()
        self.durations: OrderedDict[str, Durations] = OrderedDict()

    def delay(self, asks: str) -> float:
        """The percentile of these, or two seconds while it is not known."""
        known = self.durations.get(asks)
        p95 = None if known is None else known.p95()
        return UNKNOWN if p95 is None else p95

    def answered(self, asks: str, seconds: float) -> None:
        """It took so long to succeed."""
        known = self.durations.get(asks)
        if known is None:
            known = self.durations[asks] = Durations()
            if len(self.durations) > NAMES:
                self.durations.popitem(last=False)
        else:
            self.durations.move_to_end(asks)
        known.latest.append(seconds)

    def overtaken(self, asks: str, seconds: float) -> None:
        """It had taken so long when it was cancelled."""
        if seconds >= self.delay(asks):
            self.answered(asks, seconds)


class Starts:
    """The starts of one race: all at once; or with a delay the first, and each further one that long after the one before.

    ``winner`` is known from an earlier run: it starts alone, and the others only should it fail.

    Invariants: but for that one they start in order of index; with a delay one that starts while another runs is
    within the budget, else it is asked for again a delay later; when nothing runs the next starts at once, and is no
    extra call.
    """

    def __init__(
        self,
        contenders: int,
        delay: Delay | None = None,
        asks: Sequence[str] = (),
        hedging: Hedging | None = None,
        winner: int | None = None,
    ) -> None:
        self.waiting = deque(range(contenders))
        self.alone = winner is not None
        if winner is not None:
            self.waiting.remove(winner)
            self.waiting.appendleft(winner)
        self.delay = delay
        self.asks = asks
        self.hedging = hedging if hedging is not None else shared
        self.running = 0
        self.last = 0
        self.due = inf
        """When the next one is to be asked for."""

    def next(self, now: float) -> int | None:
        """The contender that starts now, if one does."""
        if not self.waiting or (self.alone and self.running):
            self.due = inf
            return None
        if self.delay is not None:
            if self.running and now < self.due:
                return None
            if self.running and not self.hedging.budget.allow(now):
                self.due = now + self.wait()
                return None
            self.hedging.budget.called(now)
        self.last = self.waiting.popleft()
        self.running += 1
        self.due = now + self.wait()
        return self.last

    def wait(self) -> float:
        """How long the one that started last has until the next starts."""
        if self.delay == "p95":
            return self.hedging.delay(self.asks[self.last])
        return self.delay or 0.0

    def failed(self) -> None:
        """One that had started has failed."""
        self.running -= 1
        self.alone = False


shared = Hedging()
"""The process's: of all races that are not given one of their own."""
