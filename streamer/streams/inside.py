"""Where the calls stand that a stream itself makes."""

from __future__ import annotations

import asyncio
from typing import TypeVar
from uuid import uuid4

from streamer.scope import Scope
from streamer.single import Single
from streamer.step import Step
from streamer.streams.question import Question, Questions

T = TypeVar("T")


class Inside(Step):
    """What is current inside of a stream.

    A Single that is made of a task in the stream, such as a model's call with it, is run as a call of that task: it
    is in its result and its journal, and ends with it. Any other belongs to nobody, for what is gathered from many
    tasks must not end with one of them: it has a scope of its own and ends with its subscription.
    """

    def __init__(self, scope: Scope, questions: Questions) -> None:
        super().__init__(scope)
        self.questions = questions

    async def make(self, single: Single[T]) -> T:
        question = None if single.task is None else self.questions.find(single.task)
        return await (self.apart(single) if question is None else self.of(question, single))

    async def apart(self, single: Single[T]) -> T:
        """Run it in a scope of its own."""
        scope = Scope((single.task.id if single.task is not None else None) or str(uuid4()), self.scope.grace)
        scope.like(self.scope)
        try:
            return await Step(scope).run(single)
        finally:
            if scope.tasks:
                await scope.close()

    async def of(self, question: Question, single: Single[T]) -> T:
        """Run it as a call of a task; when that is let go, nobody is told."""
        scope = question.step.scope
        call = scope.start(question.step.make(single))
        try:
            await asyncio.wait((call,))
        except asyncio.CancelledError:
            await scope.cancel((call,))
            raise
        if call.cancelled():
            ours = asyncio.current_task()
            assert ours is not None
            ours.cancel()
            await asyncio.sleep(0)
        return call.result()
