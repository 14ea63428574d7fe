"""What of a task's steps its journal remembers, and how a step is answered from there."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from msgspec import UNSET, msgpack
from msgspec.structs import replace

from streamer.attempts import add, made
from streamer.errors import CallFailed, Cancelled, TimedOut
from streamer.events import Answer, Outcome, TaskJournal
from streamer.failures import failure
from streamer.results import Attempt, Failure, Status
from streamer.scope import Scope, own_cancellation
from streamer.step import Step, certain

GAP = 8
"""Attempts in a row that may have been cancelled, which nobody noted, before the one that is looked for."""
UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)
OWN = (CallFailed, TimedOut, Cancelled)
ENCODER = msgpack.Encoder(order="deterministic")

within: ContextVar[tuple[Any, ...]] = ContextVar("streamer_within", default=())
"""The number of the attempt that runs, of a journaled function: what it asks belongs to that attempt alone."""


class Entry:
    """One attempt of a journaled call: recalled from an earlier run of its task, or noted in this one."""

    __slots__ = ("digest", "journal", "number", "step", "token", "unknown")

    def __init__(self, journal: TaskJournal, step: Step, question: Any) -> None:
        self.journal = journal
        self.step = step
        last = int(step.attempts[-1].id.rpartition("#")[2]) if step.attempts else step.before
        self.number = 1 + last + step.unrecorded
        self.digest = digest((question, within.get()))
        self.token: Token[tuple[Any, ...]] | None = None
        self.unknown = True

    def recall(self) -> Outcome | None:
        """What was answered to the same question here; a later attempt's, where those before it were cancelled.

        Another question keeps its number.
        """
        for number in range(self.number, self.number + GAP + 1):
            outcome = self.journal.recall(self.step.path, number)
            if outcome is None:
                continue
            if outcome.digest != self.digest:
                self.number, self.unknown = number + 1, False
                continue
            step, scope = self.step, self.step.scope
            step.outcome, step.recalled = outcome, True
            scope.journaled += 1
            scope.repeated_before = max(scope.repeated_before, outcome.repeated)
            return outcome
        return None

    def begins(self) -> None:
        """It is called in this run."""
        step, scope = self.step, self.step.scope
        step.outcome, step.recalled = None, False
        scope.journaled += 1
        self.token = within.set((self.number, within.get()))
        if self.journal.restarted and certain.get() is not scope:
            scope.repeated += 1

    def ends(self) -> None:
        """It has ended, or never began."""
        if self.token is not None:
            with suppress(ValueError):  # thrown away unfinished, it ends in another context
                within.reset(self.token)

    def answered(self, attempt: Attempt, answer: Answer) -> None:
        """Note a success, unless it would not come back as it went."""
        if travels(answer.value):
            self.note(attempt, answer=answer)

    def failed(self, attempt: Attempt, error: BaseException) -> None:
        """Note a failure, but not what was cancelled from outside.

        An exception of foreign code is not noted either: a ``retry_on`` could not tell it again. It is only
        remembered for a long back-off, whose note says that another attempt is wanted.
        """
        if isinstance(error, Exception) and not (own_cancellation() or self.step.scope.closed):
            self.note(attempt, failure=failure(error), write=type(error) in OWN)

    def note(self, attempt: Attempt, *, write: bool = True, **ended: Any) -> None:
        step, scope = self.step, self.step.scope
        if self.digest is None or self.journal.gone:
            return
        step.outcome = Outcome(
            path=step.path,
            number=self.number,
            digest=self.digest,
            attempt=attempt if step.calls is None else summed(attempt, step),
            repeated=scope.repeated_before + scope.repeated,
            **ended,
        )
        if write:
            self.journal.note(step.outcome)
            if self.unknown:
                certain.set(scope)


class Win:
    """Who won a race, so that a later run starts nobody else.

    Noted at the race's own path under the number 0; of the further times that it is run, -1, -2 and so on.
    """

    __slots__ = ("digest", "journal", "journaled", "number", "step")

    def __init__(self, journal: TaskJournal, step: Step, contenders: int) -> None:
        self.journal = journal
        self.step = step
        self.number = -step.races - step.before
        step.races += 1
        self.digest = blake2b(b"race %d" % contenders, digest_size=16).digest()
        self.journaled = step.scope.journaled

    def recall(self) -> int | None:
        """The index of the winner in an earlier run."""
        outcome = self.journal.recall(self.step.path, self.number)
        if outcome is None or outcome.digest != self.digest or outcome.answer is None:
            return None
        scope = self.step.scope
        scope.repeated_before = max(scope.repeated_before, outcome.repeated)
        index: Any = outcome.answer.value
        return int(index)

    def note(self, index: int) -> None:
        """Note the winner, if there was anything to pay for meanwhile."""
        step, scope = self.step, self.step.scope
        if scope.journaled == self.journaled or self.journal.gone:
            return
        attempt = Attempt(
            id=f"{scope.task_id}{step.path}#{self.number}",
            provider="race",
            model=None,
            outcome=Status.SUCCEEDED,
            category=None,
            started_at=datetime.fromtimestamp(now(scope), UTC),
            duration=0.0,
            time_to_first_token=None,
            usage=None,
            cost=None,
            violations=(),
        )
        self.journal.note(
            Outcome(
                path=step.path,
                number=self.number,
                digest=self.digest,
                attempt=attempt,
                answer=Answer(value=index),
                repeated=scope.repeated_before + scope.repeated,
            )
        )


def joined(scope: Scope, steps: Iterable[Step]) -> None:
    """These have ended, and whoever awaited them goes on: behind them is where the furthest of them came."""
    if any(step.certain for step in steps):
        certain.set(scope)


def rebuilt(outcome: Outcome, scope: Scope) -> CallFailed:
    """The failure of an earlier run, as an exception."""
    failed = outcome.failure
    assert failed is not None
    left = None if outcome.not_before is None else max(0.0, outcome.not_before - now(scope))
    if outcome.attempt.outcome is Status.TIMED_OUT:
        return TimedOut(failed.message, failed.category, failed.provider)
    if outcome.attempt.outcome is Status.CANCELLED:
        return Cancelled(failed.message)
    error = CallFailed(
        failed.category,
        failed.message,
        provider=failed.provider,
        http_status=failed.http_status,
        retry_after=left,
        usage=outcome.attempt.usage,
        cost=outcome.attempt.cost,
    )
    if failed.type != CallFailed.__name__:
        error.__cause__ = named(failed)
    return error


def named(failed: Failure) -> Exception:
    """An exception of the same name, for the result to tell."""
    return type(failed.type, (Exception,), {})(failed.message)  # type: ignore[no-any-return]


def digest(question: Any) -> bytes | None:
    """Of what is asked whom; None where it can't be encoded, and so never recognised."""
    try:
        return blake2b(ENCODER.encode(question), digest_size=16).digest()
    except UNENCODABLE:
        return None


def travels(value: Any) -> bool:
    """Whether a value comes back from a journal as it went: a plain one does."""
    if value is UNSET:
        return True
    try:
        return bool(msgpack.decode(ENCODER.encode(value)) == value)
    except UNENCODABLE:
        return False


def summed(attempt: Attempt, step: Step) -> Attempt:
    """The attempt of a function with what its calls cost, which are not made again when it is recalled."""
    usage, cost = attempt.usage, attempt.cost
    for below in made(step):
        if below.id != attempt.id and below.started_at >= attempt.started_at:
            usage, cost = add(usage, below.usage), add(cost, below.cost)
    return replace(attempt, usage=usage, cost=cost)


def now(scope: Scope) -> float:
    """Seconds since the epoch."""
    return scope.epoch + scope.now()
