"""What many results tell together."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import ceil

from msgspec import Struct

from streamer.results import Result, Status, Usage
from streamer.telemetry import measures, spans


class Totals(Struct, frozen=True, kw_only=True):
    """Sums and percentiles over results; seconds, and USD. What nobody knows is None.

    ``results`` is the sum of the five statuses. ``elapsed`` lasts from when the first began to when the last had
    ended. ``time_to_first_token`` and ``tokens_per_second`` are medians of the results that have them;
    ``peak_concurrency`` and ``speed_up`` those of all their leaves together (see :class:`streamer.Result`).
    """

    results: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    skipped: int = 0
    attempts: int = 0
    retries: int = 0
    usage: Usage | None = None
    cost: float | None = None
    elapsed: float = 0.0
    duration: float = 0.0
    duration_p50: float | None = None
    duration_p95: float | None = None
    queue_time_p50: float | None = None
    queue_time_p95: float | None = None
    time_to_first_token: float | None = None
    tokens_per_second: float | None = None
    peak_concurrency: int = 0
    speed_up: float | None = None


def aggregate(results: Iterable[Result]) -> Totals:
    """Add up results, children included; they are read once, and a few numbers of each are kept."""
    tally = Tally()
    for result in results:
        tally.add(result)
    return tally.totals()


class Tally:
    """Adds up results one by one, in any order."""

    def __init__(self) -> None:
        self.statuses = dict.fromkeys(Status, 0)
        self.attempts = self.retries = 0
        self.usage: Usage | None = None
        self.cost: float | None = None
        self.origin: datetime | None = None
        self.first = self.last = 0.0
        self.durations, self.queue_times, self.first_tokens, self.speeds = (array("d") for _ in range(4))
        self.began, self.ended = array("d"), array("d")

    def add(self, result: Result) -> None:
        """One more."""
        if self.origin is None:
            self.origin = result.started_at
        started = measures.seconds(result.started_at, self.origin)
        self.first, self.last = min(self.first, started), max(self.last, started + result.duration)
        self.statuses[result.status] += 1
        self.attempts += sum(1 for _ in measures.everything(result))
        self.retries += result.retries
        if result.usage is not None:
            self.usage = result.usage if self.usage is None else self.usage + result.usage
        if result.cost is not None:
            self.cost = result.cost + (self.cost or 0.0)
        self.durations.append(result.duration)
        self.queue_times.append(result.queue_time)
        for series, value in (
            (self.first_tokens, result.time_to_first_token),
            (self.speeds, result.tokens_per_second),
        ):
            if value is not None:
                series.append(value)
        for began, ended in measures.working(result, self.origin):
            self.began.append(began)
            self.ended.append(ended)

    def totals(self) -> Totals:
        """What it comes to so far."""
        work = list(zip(self.began, self.ended, strict=True))
        elapsed = self.last - self.first
        serial = elapsed + spans.together(work) - spans.covered(work)
        return Totals(
            results=len(self.durations),
            **{status.value: count for status, count in self.statuses.items()},
            attempts=self.attempts,
            retries=self.retries,
            usage=self.usage,
            cost=self.cost,
            elapsed=elapsed,
            duration=sum(self.durations),
            duration_p50=percentile(self.durations, 0.5),
            duration_p95=percentile(self.durations, 0.95),
            queue_time_p50=percentile(self.queue_times, 0.5),
            queue_time_p95=percentile(self.queue_times, 0.95),
            time_to_first_token=percentile(self.first_tokens, 0.5),
            tokens_per_second=percentile(self.speeds, 0.5),
            peak_concurrency=spans.peak(work),
            speed_up=serial / elapsed if work and elapsed > 0 else None,
        )


def percentile(series: Sequence[float], share: float) -> float | None:
    """The least of the values that a share of them does not exceed; None of no values."""
    if not series:
        return None
    return sorted(series)[max(0, ceil(share * len(series)) - 1)]
