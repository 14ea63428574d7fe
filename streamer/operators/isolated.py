"""A coroutine in a context of its own, without an asyncio task of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

U = TypeVar("U")


class Isolated(Generic[U]):
    """Goes on with a coroutine that waits, in the context copy that it began in; what it sets is gone with it.

    ``run`` is the context's, ``waited`` what the coroutine's first step gave to wait for.
    """

    __slots__ = ("run", "steps", "waited")

    def __init__(self, run: Callable[..., Any], steps: Any, waited: Any) -> None:
        self.run = run
        self.steps = steps
        self.waited = waited

    def __await__(self) -> Generator[Any, Any, U]:
        run, steps, waited = self.run, self.steps, self.waited
        while True:
            step, argument = steps.send, None
            try:
                argument = yield waited
            except BaseException as error:
                step, argument = steps.throw, error
            try:
                waited = run(step, argument)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
