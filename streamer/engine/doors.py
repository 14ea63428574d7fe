"""The ways into an engine, besides one task at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Coroutine, Iterator
from copy import copy
from typing import Any, Self

from reactivex import Observable

from streamer import streams
from streamer.chunks import Chunk, Chunks
from streamer.engine import scripts
from streamer.engine.many import CONCURRENCY, WAITING, Stream, Tasks
from streamer.engine.tokens import tokens
from streamer.events import Event, Listener
from streamer.limits import Limit
from streamer.listeners import Telling
from streamer.operators.concurrent_map import concurrent_map
from streamer.providers.registry import Registry
from streamer.results import Result
from streamer.streams import intake
from streamer.tasks import priority_of


class Doors:
    """What programs and scripts call of an engine."""

    answer: Any
    providers: Registry
    slots: Limit | None
    admits: bool
    cancel_grace: float

    telling: Telling
    listener: Listener | None

    @property
    def events(self) -> Observable[Event]:
        """What happens from the subscription on, in tasks that begin after this was asked for.

        Nothing is kept for later. It completes at the end of ``async with``.
        """
        self.listener = self.telling.tell
        return self.telling.events

    @abstractmethod
    def run(self, task: Any, *, chunks: Chunks | None = None) -> Coroutine[Any, Any, Result]:
        """Answer one task."""

    def answers(
        self, tasks: Tasks, *, concurrency: int | None = None, bound: int = WAITING
    ) -> Observable[Result]:
        """Answer many tasks, so many at once, and emit their Results as they come; see :func:`concurrent_map`.

        An iterable, or an async one, is read as there is room. ``concurrency`` is 100, unless the
        engine has a limit of its own, which holds besides.
        """
        engine, slots = self.with_slots(concurrency)
        run, tasks = intake(engine.answer, engine.run, tasks)
        return concurrent_map(run, slots, bound, priority=priority_of)(tasks)

    def stream(
        self, tasks: Tasks, *, concurrency: int | None = None, bound: int = WAITING
    ) -> AsyncGenerator[Result]:
        """The same, to be read by ``async for``, which also paces it: what nobody reads is not asked.

        An Observable can't be paced; more than ``bound`` tasks that wait are an ``OverflowError``. Closing it early
        cancels what runs, awaits that, and closes the source.
        """
        engine, slots = self.with_slots(concurrency)
        run, tasks = intake(engine.answer, engine.run, tasks)
        return Stream(run, tasks, slots, bound, self.cancel_grace).results()

    def tokens(self, task: Any) -> Observable[Chunk]:
        """Answer one task and emit what models say, as they say it; its failure is the Observable's error.

        A chunk says of which attempt it is, for some fail: on a ``reset`` all that it said is void.
        """
        return tokens(self.run, task)

    def run_sync(self, task: Any) -> Result:
        """Answer one task in a script, where no loop runs; closes the providers."""
        return scripts.run(self, task)

    def stream_sync(self, tasks: Any, *, concurrency: int | None = None) -> Iterator[Result]:
        """Answer many in a script, as they come; they run, and ``tasks`` is read, in a thread meanwhile."""
        return scripts.stream(self, tasks, concurrency)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        told, self.telling = self.telling, Telling(*self.telling.listeners)
        self.listener = self.telling.tell if self.telling else None
        try:
            await told.close(self.cancel_grace)
            told.complete()
        finally:
            await self.providers.close()

    def with_slots(self, concurrency: int | None) -> tuple[Self, Limit]:
        """What answers a stream of tasks, and the slots of that stream; a limit of the engine's own holds as well."""
        engine = self
        if isinstance(self.answer, streams.Stream):
            engine = copy(self)
            engine.answer = copy(self.answer)  # which ends with these tasks
        if concurrency is None and self.slots is not None:
            return engine, self.slots
        slots = Limit(CONCURRENCY if concurrency is None else concurrency)
        if not self.admits:
            engine = copy(engine)
            engine.slots = slots
        return engine, slots
