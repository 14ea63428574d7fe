"""One subscription to a topology's stream: tasks go in, answers come out, each to its own task."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from threading import get_ident
from typing import Any

from reactivex import Observable, abc
from reactivex.scheduler.eventloop import AsyncIOScheduler

from streamer.errors import CallFailed, Category
from streamer.scope import Scope
from streamer.step import current
from streamer.streams.entrance import Entrance
from streamer.streams.inside import Inside
from streamer.streams.question import Question, Questions

Report = Callable[[str, Exception | None], None]
NOBODY = (
    "The stream answered a task that waits for no answer: it was answered before, has run out of time, was let go, "
    "or is not the very object that came in. Such answers are dropped; this is told once."
)
NO_PAIR = "The stream emits pairs of a task and its answer, not {}; what else it emits is dropped; this is told once."


class Flow:
    """Tasks that wait for their answers from one subscription.

    Invariants: a task that was pushed waits until it is answered, or the stream has ended, or it leaves; a pair
    answers at most one; once ``over`` nothing is pushed, and with the last that waits the subscription ends.
    """

    def __init__(self, name: str, function: Callable[[Any], Any], asker: Scope, report: Report) -> None:
        self.loop = asker.loop
        self.thread = get_ident()
        self.report = report
        self.questions = Questions()
        self.over = False
        """Nothing more is pushed: it has ended, or no more tasks are to come."""
        self.hops = False
        self.scope = Scope(name, asker.grace)
        self.scope.like(asker)
        self.entrance = Entrance(self.loop, self.failing)
        self.subscription: abc.DisposableBase | None = None
        # no task's context: what is current to one is not to those whose tasks are gathered with it
        self.context = Context()
        self.context.run(current.set, Inside(self.scope, self.questions))
        self.context.run(self.subscribe, function)

    def subscribe(self, function: Callable[[Any], Any]) -> None:
        answers = function(self.entrance)
        if not isinstance(answers, Observable):
            raise TypeError(
                f"@topology.stream returns an Observable of (task, answer), not {type(answers).__name__}."
            )
        self.subscription = answers.subscribe(
            lambda pair: self.hop(self.answered, pair),
            lambda error: self.hop(self.ended, error),
            lambda: self.hop(self.ended, None),
            scheduler=AsyncIOScheduler(self.loop),
        )

    def hop(self, act: Callable[[Any], None], what: Any) -> None:
        """Come back to the loop's thread, in order, from whichever one the user's operators went to."""
        if get_ident() != self.thread:
            self.hops = True
        if self.hops:
            self.loop.call_soon_threadsafe(act, what)
        else:
            act(what)

    def push(self, question: Question) -> None:
        """Let a task in."""
        self.questions.add(question)
        self.context.run(self.entrance.push, question.task)

    def complete(self) -> None:
        """No more tasks are to come: what was gathered goes on."""
        self.over = True
        self.context.run(self.entrance.complete)

    def failing(self, error: Exception) -> None:
        """An operator raised what it should have passed on, and has unsubscribed by that."""
        self.hop(self.ended, error)

    def answered(self, pair: Any) -> None:
        """A pair came out."""
        if not isinstance(pair, tuple) or len(pair) != 2:
            self.report(NO_PAIR.format(type(pair).__name__), None)
            return
        task, answer = pair
        question = self.questions.find(task)
        if question is None:
            self.report(NOBODY, None)
            return
        self.questions.remove(question)
        question.tell(answer)

    def ended(self, error: Exception | None) -> None:
        """The user's Observable has ended: so have those that it did not answer."""
        self.over = True
        if error is None:
            said = "The stream completed without an answer to this task."
        else:
            said = f"The stream ended before it answered this task: {type(error).__name__}: {error}"
            if not self.questions:
                self.report("A topology's stream ended", error)
        for question in self.questions:
            failure = CallFailed(Category.INTERNAL, said)
            failure.__cause__ = error
            question.tell(failure)

    async def leave(self, question: Question) -> None:
        """One waits no more; with the last one, what is over is disposed of, and awaited within the grace."""
        self.questions.remove(question)
        if self.over and not self.questions and self.subscription is not None:
            self.subscription.dispose()
            await self.scope.close()
