"""A task that is in a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from streamer.step import Step


class Question:
    """A task, the step at which it is answered, and its answer to come."""

    __slots__ = ("answer", "step", "task")

    def __init__(self, task: Any, step: Step) -> None:
        self.task = task
        self.step = step
        self.answer: asyncio.Future[Any] = step.scope.loop.create_future()

    def tell(self, answer: Any) -> None:
        """Answer it, with a value or an exception to be raised; the first answer counts."""
        if not self.answer.done():
            self.answer.set_result(answer)


class Questions:
    """Those that wait for their answers, found by the task: the very object, not one that is equal.

    An object that is asked twice at a time is answered twice, in the order it came.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, list[Question]] = {}

    def __bool__(self) -> bool:
        return bool(self.waiting)

    def __iter__(self) -> Iterator[Question]:
        return (question for questions in self.waiting.values() for question in questions)

    def add(self, question: Question) -> None:
        self.waiting.setdefault(id(question.task), []).append(question)

    def find(self, task: Any) -> Question | None:
        """Who asked with this task."""
        questions = self.waiting.get(id(task))
        return questions[0] if questions else None

    def remove(self, question: Question) -> None:
        questions = self.waiting.get(id(question.task), [])
        if question in questions:
            questions.remove(question)
            if not questions:
                del self.waiting[id(question.task)]
