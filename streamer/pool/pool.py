"""Submit now, have the result later."""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack
from uuid import uuid4

from msgspec import UNSET, UnsetType
from reactivex import Observable

from streamer.engine import Engine
from streamer.engine.engine import default_engine
from streamer.engine.judging import seconds
from streamer.errors import PoolClosed, PoolDraining, QueueFull, SettingsError
from streamer.events import Event, Listener
from streamer.limits import Limit
from streamer.pool.crew import Crew
from streamer.pool.order import Order
from streamer.pool.policy import Again, Clocks, Policy
from streamer.pool.stats import PoolStats
from streamer.results import Result
from streamer.single import Operand
from streamer.tasks import TaskBase


class Instead(TypedDict, total=False):
    """What one submission may say; the first four in place of the pool's own."""

    retry: Again | UnsetType
    timeout: Clocks | UnsetType
    fallbacks: Sequence[Operand] | UnsetType | None
    metadata: Mapping[str, Any] | UnsetType | None
    priority: int
    id: str | None
    tag: str | None


class Pool:
    """Runs what is submitted, ``workers`` at a time; each submission is a future of its :class:`Result`.

    ``retry``, ``timeout``, ``fallbacks`` and ``metadata`` hold for all that don't say otherwise; ``on_event`` is told
    what happens, and so is who subscribes to ``events``. At most ``queue`` wait beside those that run: when it is
    full ``submit`` waits for room, or with ``when_full="refuse"`` raises :class:`QueueFull`. ``engine`` has the
    providers and functions. Nothing is started before the first submission, on whose loop the pool lives.

    Invariants: everything accepted ends in a result, and so does its future unless that was cancelled; at most
    ``workers`` work at once; no task and no cancellation ends a worker.
    """

    def __init__(
        self,
        workers: int = 3,
        *,
        retry: Again = None,
        timeout: Clocks = None,
        fallbacks: Sequence[Operand] = (),
        metadata: Mapping[str, Any] | None = None,
        on_event: Listener | None = None,
        queue: int = 1_000,
        when_full: Literal["wait", "refuse"] = "wait",
        engine: Engine | None = None,
    ) -> None:
        slots = Limit(workers, "workers")
        self.workers = slots.limit
        """How many work at once, at most."""
        self.most = slots.limit + Limit(queue, "queue").limit
        if when_full not in ("wait", "refuse"):
            raise SettingsError(f"when_full is 'wait' or 'refuse', not {when_full!r}.")
        if on_event is not None and not callable(on_event):
            raise SettingsError(f"on_event is a function of one event, not {on_event!r}.")
        if engine is not None and not isinstance(engine, Engine):
            raise SettingsError(f"engine is an Engine, not {engine!r}.")
        self.when_full = when_full
        self.policy = Policy().but(
            retry=UNSET if retry is None else retry, timeout=timeout, fallbacks=fallbacks, metadata=metadata
        )
        self.engine = default_engine() if engine is None else engine
        self.crew = Crew(slots, self.engine, on_event, self.ended)
        self.outside: deque[Order] = deque()
        """Those whose submitters wait for room, longest first."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.drains = 0

    @property
    def active(self) -> int:
        """How many work now; one that waits between two attempts does not."""
        return self.crew.active

    @property
    def queued(self) -> int:
        """How many wait for a worker, to begin or after a back-off."""
        return self.stats.queued

    @property
    def stats(self) -> PoolStats:
        """What became of everything accepted so far."""
        return self.crew.stats

    @property
    def events(self) -> Observable[Event]:
        """What happens from the subscription on; completes with the pool. Nothing is kept for later."""
        return self.crew.telling.events

    async def submit(self, operand: Operand, **instead: Unpack[Instead]) -> asyncio.Future[Result]:
        """Accept a Single, a Task or a callable, once there is room; its future has a Result, and never an error.

        ``retry``, ``timeout``, ``fallbacks`` and ``metadata`` take the place of the pool's; ``None`` or ``()`` switches
        them off. What a task of the wire says itself holds over both. Higher ``priority`` (0) begins first, and ages:
        ten seconds of waiting count as one level. ``id`` and ``tag`` are the result's. It runs in a copy of the
        caller's context. Cancelling the future cancels it: before it has begun it never does.
        """
        order = self.order(operand, **instead)
        if not self.full:
            self.crew.accept(order)
        elif self.when_full == "wait":
            await self.room(order)
        else:
            raise self.refusal()
        return order.future

    def submit_nowait(self, operand: Operand, **instead: Unpack[Instead]) -> asyncio.Future[Result]:
        """The same at once; without room :class:`QueueFull`."""
        order = self.order(operand, **instead)
        if self.full:
            raise self.refusal()
        self.crew.accept(order)
        return order.future

    def cancel(self, id: str) -> bool:
        """End the accepted tasks of that id, whose futures then have a ``cancelled`` Result; False if there are none."""
        orders = [order for order in self.crew.orders if order.id == id]
        for order in orders:
            self.crew.cancel(order, "It was cancelled by its id before it began.")
        return bool(orders)

    async def drain(self, timeout: float | None = None) -> None:
        """Wait until everything submitted is done; submissions meanwhile raise :class:`PoolDraining`.

        Then it accepts again, also when ``timeout`` (seconds; a TimeoutError) or a cancellation has ended the wait.
        """
        if timeout is not None:
            seconds("timeout", timeout, "drain")
        self.drains += 1
        self.turn_away()
        try:
            async with asyncio.timeout(timeout):
                await self.crew.idle.wait()
        finally:
            self.drains -= 1

    async def shutdown(self, now: bool = False) -> None:
        """Accept no more, for good, and wait until everything accepted is done; as often as you like.

        With ``now`` what has not begun ends as ``cancelled``, and so does what runs: it is cancelled, and awaited
        within the engine's grace, once for what it started and once for itself.
        """
        self.crew.closed = True
        self.turn_away()
        if now:
            self.crew.abort()
        self.ended()
        await self.crew.idle.wait()
        await self.crew.telling.close(self.engine.cancel_grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish everything; after an error, or when cancelled meanwhile, cancel it."""
        try:
            await self.shutdown(now=error is not None)
        except asyncio.CancelledError:
            await self.shutdown(now=True)
            raise

    def __del__(self) -> None:
        crew = getattr(self, "crew", None)  # there is none after bad settings
        if crew is not None and crew.orders:
            warnings.warn(
                f"A Pool was dropped with {len(crew.orders)} tasks unfinished; use `async with Pool(...)`.",
                ResourceWarning,
                stacklevel=1,
                source=self,
            )

    def order(
        self,
        operand: Operand,
        *,
        retry: Again | UnsetType = UNSET,
        timeout: Clocks | UnsetType = UNSET,
        fallbacks: Sequence[Operand] | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | UnsetType | None = UNSET,
        priority: int = 0,
        id: str | None = None,
        tag: str | None = None,
        **unknown: Any,
    ) -> Order:
        """A submission as it is to be run; refused while nothing is accepted."""
        if unknown:
            raise TypeError(
                f"submit() knows no {', '.join(unknown)}; there are {', '.join(Instead.__annotations__)}. A function that "
                "takes arguments is submitted with them: lambda: f(1)."
            )
        if self.crew.closed or self.drains:
            raise self.turned_away()
        loop = running_loop()
        if self.loop is None:
            self.loop = loop
        elif self.loop is not loop:
            raise RuntimeError("This pool was started on another event loop, and lives there.")
        policy = self.policy.but(retry=retry, timeout=timeout, fallbacks=fallbacks, metadata=metadata)
        order = Order(policy.plan(operand, self.engine), loop)
        order.id, order.tag, order.metadata, order.priority = id or "", tag, policy.metadata, priority
        if isinstance(operand, TaskBase):
            order.tells(operand)
        order.id = order.id or str(uuid4())
        if isinstance(order.priority, bool) or not isinstance(order.priority, int):
            raise SettingsError(f"priority is a whole number, not {priority!r}.")
        for name, text in (("id", id), ("tag", tag)):
            if text is not None and not isinstance(text, str):
                raise SettingsError(f"{name} is a text, not {text!r}.")
        return order

    @property
    def full(self) -> bool:
        """Those in a back-off count as well, else they would grow without bound."""
        return bool(self.outside) or len(self.crew.orders) >= self.most

    def refusal(self) -> QueueFull:
        return QueueFull(
            f"{len(self.crew.orders)} tasks run or wait, as many as {self.workers} workers and a queue of "
            f"{self.most - self.workers} hold; submit later, or await submit() of a pool with when_full='wait'."
        )

    async def room(self, order: Order) -> None:
        """Wait until it is accepted; cancelled meanwhile, it never begins."""
        order.admitted = order.loop.create_future()
        self.outside.append(order)
        try:
            await order.admitted
        except asyncio.CancelledError:
            if order in self.outside:
                self.outside.remove(order)
            order.future.cancel()
            raise

    def turned_away(self) -> PoolClosed | PoolDraining:
        if self.crew.closed:
            return PoolClosed("The pool is shut down and accepts no more; make another one.")
        return PoolDraining("The pool is being drained; submit again when drain() has returned.")

    def turn_away(self) -> None:
        """Tell those who wait for room that there will be none."""
        while self.outside:
            admitted = self.outside.popleft().admitted
            if admitted is not None and not admitted.done():
                admitted.set_exception(self.turned_away())

    def ended(self) -> None:
        """Accept who has waited longest for room; once closed and empty, that was all."""
        while self.outside and len(self.crew.orders) < self.most:
            order = self.outside.popleft()
            if order.admitted is not None and not order.admitted.done():
                order.admitted.set_result(None)
                self.crew.accept(order)
        if self.crew.closed and not self.crew.orders:
            self.crew.dismiss()


def running_loop() -> asyncio.AbstractEventLoop:
    """The one of this thread; other threads have to ask it."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "A pool lives on an event loop, and none runs in this thread; submit there: "
            "asyncio.run_coroutine_threadsafe(pool.submit(...), loop)."
        ) from None
