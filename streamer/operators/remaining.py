"""What is left of a back-off that an earlier run of the task may have begun."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from streamer.errors import Cancelled
from streamer.events import Outcome
from streamer.remembering import OWN, now
from streamer.step import Step


def again_wanted(step: Step) -> bool:
    """Whether an earlier run had decided that this exception of foreign code is to be followed by an attempt."""
    own = {kind.__name__ for kind in OWN}
    return any(
        end.not_before is not None and end.failure is not None and end.failure.type not in own
        for end, recalled in last(step)
        if end is not None and recalled
    )


def back_off(step: Step, seconds: float, failed: bool) -> float | None:
    """How long to wait before the next attempt: what is left of the wait that an earlier run began, or None.

    A long wait is noted when it begins, so that it goes on wherever the task is taken up.
    """
    scope, found = step.scope, list(last(step))
    if failed:
        found = [(end, recalled) for end, recalled in found if end is None or end.failure is not None]
    ends = [end for end, _ in found if end is not None]
    if found and all(recalled for _, recalled in found):
        until = [end.not_before for end in ends if end.not_before is not None]
        return max(0.0, max(until) - now(scope)) if until else None
    journal = scope.journal
    if seconds >= scope.park_after and journal is not None and not journal.gone:
        for end in ends:
            journal.note(replace(end, not_before=now(scope) + seconds))
    return seconds


def last(step: Step) -> Iterator[tuple[Outcome | None, bool]]:
    """How the last attempts here and below ended, None where nothing remembers it; and whether it was recalled."""
    if step.outcome is not None:
        yield step.outcome, step.recalled
        return
    below = [*(step.children or {}).values(), *(step.calls or ())[: step.called]]
    found = [end for under in below for end in last(under)]
    failed = step.attempts or (isinstance(step.error, Exception) and not isinstance(step.error, Cancelled))
    if failed and not any(end is None or end.failure is not None for end, _ in found):
        yield None, False
    yield from found
