"""A topology's stream, as the engine sees it: something that answers a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from streamer.errors import CallFailed, Cancelled, Category
from streamer.operand import CALLS, as_single, resolve
from streamer.scope import Scope
from streamer.single import Single
from streamer.step import Step
from streamer.streams.flow import Flow
from streamer.streams.question import Question

LENDING = 10_000
"""Tasks in a stream whose slots are lent at a time, so that an input without end is not read without end."""


class Stream:
    """Puts each task into the user's Observable and waits for its answer, for ``answer_within`` seconds at most.

    While it waits its run slot is lent: how many are in the stream is bounded by what may be outstanding, and not by
    how many may run. The Observable is subscribed to once; when it has ended, it is subscribed to anew for the next task. An answer that
    is a Single or a Task, or can be awaited, is run as the task's own.
    """

    def __init__(self, function: Callable[[Any], Any], answer_within: float, name: str) -> None:
        self.function = function
        self.answer_within = answer_within
        self.name = name
        self.current: Flow | None = None
        self.waiting = 0
        self.completed = False
        self.reported: set[str] = set()

    def __call__(self, task: Any) -> Single[Any]:
        return Single(lambda step: self.answer(step, task))

    def complete(self) -> None:
        """No more tasks are to come: what was gathered goes on, and the Observable completes.

        A task that comes all the same has a subscription of its own.
        """
        self.completed = True
        if self.current is not None and not self.current.over:
            self.current.complete()

    async def answer(self, step: Step, task: Any) -> Any:
        """Put it in, wait for what comes out, and see that through."""
        scope = step.scope
        question = Question(task, step)
        flow = self.flow(scope)
        clock = scope.loop.call_later(self.answer_within, self.expire, question)
        self.waiting += 1
        step.streaming = True
        lends = self.waiting <= LENDING
        try:
            flow.push(question)
            if self.completed:
                flow.complete()
            answer = await (scope.wait(question.answer) if lends else question.answer)
        finally:
            self.waiting -= 1
            step.streaming = False
            clock.cancel()
            await flow.leave(question)
        if isinstance(answer, asyncio.CancelledError):
            raise Cancelled(str(answer) or "The stream answered with a CancelledError.")
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, CALLS):
            single = as_single(answer)
            # without calls before it, it stands where the task itself does: its children are the task's
            return await (single.at(step) if step.calls is None else step.call().run(single))
        if scope.lent and hasattr(answer, "__await__"):
            await scope.reclaim()
        return await resolve(step, answer)

    def flow(self, scope: Scope) -> Flow:
        """The subscription that takes tasks now."""
        flow = self.current
        if flow is None or flow.over or flow.loop is not scope.loop:
            flow = self.current = Flow(self.name, self.function, scope, self.report)
        return flow

    def expire(self, question: Question) -> None:
        question.tell(
            CallFailed(
                Category.INTERNAL,
                f"The stream gave no answer within {self.answer_within:g} s (answer_within). "
                "A task that it leaves out needs an answer, too: (task, an exception).",
            )
        )

    def report(self, said: str, error: Exception | None) -> None:
        """Tell what is no task's failure; the same only once, unless it is an error."""
        if error is None:
            if said in self.reported:
                return
            self.reported.add(said)
            error = RuntimeError(said)
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"Topology {self.name}: {said}", "exception": error}
        )
