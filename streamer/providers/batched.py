"""Many tasks, one call: each awaits its own element."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from copy import copy
from math import isfinite
from typing import Any

from msgspec.structs import replace

from streamer.call import Call
from streamer.clocks import tightest
from streamer.errors import CallFailed, Category, SettingsError
from streamer.operand import as_single, listed
from streamer.operators.retry import Attempts
from streamer.providers.batch import Batches, Place
from streamer.providers.gathering import Gathering
from streamer.providers.protocol import Response
from streamer.providers.target import Target
from streamer.single import Single
from streamer.step import Step
from streamer.tasks import Message, Timeouts


def batched(
    function: Callable[[list[Any]], Any] | Target,
    max_size: int,
    max_wait: float,
    *,
    concurrency: int | None = None,
    name: str | None = None,
    journal: bool | None = None,
) -> Batched:
    """Gather the items of tasks that run at once into one call.

    With ``embed = batched(embed_all, 32, 0.05)``, ``embed(item)`` is a Single of that item's own answer. The function takes a list of items and returns, or awaits,
    a list of as many answers in their order; an answer that is an exception is the failure of its item alone. Its
    call begins when ``max_size`` items wait, or ``max_wait`` seconds after the first of them came; ``concurrency`` is
    how many of its calls run at once, and those who wait meanwhile go together. A provider is asked with one user
    message for each item.

    A call that fails is the failure of all its items, and of no others: the retry of each joins a later batch. Who is
    cancelled leaves; a call that nobody waits for is cancelled. What it cost is divided among those who wait for it.
    With ``journal`` an element's answer is remembered across crashes, by default if a paid provider gives it.
    """
    return Batched(function, max_size, max_wait, concurrency, name, journal)


class Batched:
    """What :func:`batched` makes. Called with an item: a Single of its answer."""

    def __init__(
        self,
        function: Any,
        max_size: int,
        max_wait: float,
        concurrency: int | None,
        name: str | None,
        journal: bool | None,
    ) -> None:
        if not callable(function):
            raise SettingsError(f"batched() takes a function of a list, or a provider, not {function!r}.")
        for what, count in (("max_size", max_size), ("concurrency", concurrency)):
            whole = isinstance(count, int) and not isinstance(count, bool) and count >= 1
            if not whole and (what, count) != ("concurrency", None):
                raise SettingsError(f"batched: {what} is a whole number of at least 1, not {count!r}.")
        number = isinstance(max_wait, int | float) and not isinstance(max_wait, bool)
        if not number or not isfinite(max_wait) or max_wait < 0:
            raise SettingsError(f"batched: max_wait is a number of seconds of at least 0, not {max_wait!r}.")
        if name is not None and (not isinstance(name, str) or not name):
            raise SettingsError(f"batched: name is a text, not {name!r}.")
        if journal is not None and not isinstance(journal, bool):
            raise SettingsError(f"batched: journal is true or false, not {journal!r}.")
        self.function = function
        self.target = function if isinstance(function, Target) else None
        self.name = name or str(getattr(function, "__name__", None) or type(function).__name__)
        if self.target is not None:
            self.name = name or self.target.name
        self.journaled = journal if journal is not None else self.target is not None and self.target.journaled
        self.batches = Batches(self.name, self.ask, Gathering(max_size, float(max_wait), concurrency))

    def __call__(self, item: Any) -> Single[Any]:
        if self.target is None:
            return BatchedCall(self, item, "function", self.name)
        call = self.target([item] if isinstance(item, Message) else item)
        if len(call.messages) != 1 or call.parameters:
            raise CallFailed(
                Category.INVALID_REQUEST,
                f"{self.name} is asked for many at once: each item is one message, without parameters of its own.",
            )
        batched = BatchedCall(self, call.messages[0], self.target.name, self.target.model)
        batched.kind, batched.task, batched.clocks = call.kind, call.task, call.clocks
        batched.retries, batched.extra = call.retries, call.extra
        return batched

    def ask(self, items: list[Any]) -> Single[Any]:
        """The one call for all of them."""
        if self.target is not None:
            return self.target.call(None, tuple(items))
        return as_single(lambda: self.answers(items))

    def answers(self, items: list[Any]) -> Any:
        answers = self.function(items)
        return listed(answers) if isinstance(answers, AsyncIterator) else answers


class BatchedCall(Call):
    """An item's share in a call; each run of it takes a place of its own."""

    kind = "function"
    place: Place

    def __init__(self, batched: Batched, item: Any, name: str, model: str | None) -> None:
        super().__init__(name, model, None, None, None)
        self.batched = batched
        self.journaled = batched.journaled
        self.item = item

    def bounded(self, clocks: Timeouts) -> Single[Any]:
        for name in ("connect", "first_token", "between_tokens"):
            if getattr(clocks, name) is not None:
                raise ValueError(
                    f"timeout: {name} is a clock of a call of its own; {self.batched.name} shares one."
                )
        call = copy(self)
        call.clocks = tightest(self.clocks, clocks)
        return call

    def question(self) -> Any:
        return self.name, self.model, self.item

    async def at(self, step: Step) -> Any:
        if self.retries is None or step.retrying:
            return await self.once(step)
        return await Attempts(self.retries).made(step, self.once)

    async def once(self, step: Step) -> Any:
        """One attempt, in a place of its own."""
        run = copy(self)
        slot: Any = Place(self.batched.batches, self.item, step.scope)
        run.place = run.slots = slot
        return await Call.at(run, step)

    async def perform(self, step: Step, attempt_id: str) -> Any:
        del step, attempt_id  # the call is no one's
        element = await self.place.element()
        share = self.place.share
        if type(element) is not Response:
            return replace(share, value=element)
        return replace(element, usage=share.usage, cost=share.cost)

    def owed(self, step: Step, error: BaseException) -> Any:
        del step, error
        return self.place.share
