"""What the demo counts, from the results in the output topic and from the worker's events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from streamer.events import AttemptEnded, AttemptStarted, Event, RetryScheduled
from streamer.results import Attempt, Result, Status

Series = list[float]


class Calls:
    """The calls of one provider. Durations are seconds."""

    def __init__(self) -> None:
        self.outcomes: Counter[Status] = Counter()
        self.durations: Series = []
        self.tokens = 0

    def add(self, attempt: Attempt) -> None:
        self.outcomes[attempt.outcome] += 1
        if attempt.outcome is Status.SUCCEEDED:
            self.durations.append(attempt.duration)
        if attempt.usage is not None:
            self.tokens += attempt.usage.output_tokens


class Counts:
    """Running totals; ``planned`` says how many results of each kind are to come, beside one dead letter."""

    def __init__(self, planned: Mapping[str, int]) -> None:
        self.planned = planned
        self.total = sum(planned.values()) + 1
        self.dead = 0
        self.retries = 0
        self.calling = 0
        self.kinds: dict[str, Counter[Status]] = {}
        self.durations: dict[str, Series] = {}
        self.providers: dict[str, Calls] = {}

    @property
    def answered(self) -> int:
        """Results that were read from the output topic."""
        return sum(sum(statuses.values()) for statuses in self.kinds.values())

    def of_status(self, status: Status) -> int:
        return sum(statuses[status] for statuses in self.kinds.values())

    def result(self, result: Result) -> None:
        """A result was read."""
        self.kinds.setdefault(result.kind, Counter())[result.status] += 1
        self.durations.setdefault(result.kind, []).append(result.duration)

    def event(self, event: Event) -> None:
        """Something happened in the worker."""
        if isinstance(event, AttemptStarted):
            self.calling += 1
        elif isinstance(event, AttemptEnded):
            self.calling -= 1
            attempt = event.attempt
            name = attempt.provider if attempt.model is None else f"{attempt.provider}:{attempt.model}"
            self.providers.setdefault(name, Calls()).add(attempt)
        elif isinstance(event, RetryScheduled):
            self.retries += 1
