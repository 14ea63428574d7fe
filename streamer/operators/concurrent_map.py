"""The stream's one operator of our own: a function over items, so many at once, results as they come."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from streamer.limits import Limit
from streamer.operators.workers import Workers

T = TypeVar("T")
U = TypeVar("U")
Items = Observable[T] | Iterable[T] | AsyncIterable[T]


def concurrent_map(
    fn: Callable[[T], Awaitable[U]],
    limit: int | Limit,
    bound: int | None = None,
    *,
    priority: Callable[[T], int | None] | None = None,
) -> Callable[[Items[T]], Observable[U]]:
    """Await ``fn(item)`` for at most ``limit`` items at once and emit the values as they come.

    The source is an Observable, an iterable or an async iterable; of the latter two at most ``limit`` items wait,
    read as there is room. An Observable can't be told to wait: more than ``bound`` waiting items are an
    ``OverflowError``. Completes when the source has and nothing of its own runs, strays included; an empty source completes
    at once. An error of ``fn`` or of the source cancels what runs, and is the stream's error once that has ended or
    had the grace to. Disposing cancels.

    Items begin in the order they come, or by ``priority(item)``: of those that wait the higher first, while waiting
    counts as well (see :class:`streamer.limits.Waiting`). Streams that share a Limit take turns.
    """
    if not isinstance(limit, Limit):
        Limit(limit, "limit")
    if bound is not None:
        Limit(bound, "bound")

    def operator(source: Items[T]) -> Observable[U]:
        def subscribe(
            observer: abc.ObserverBase[U], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            slots = limit if isinstance(limit, Limit) else Limit(limit)
            workers = Workers(fn, slots, bound, observer, priority)
            if isinstance(source, Observable):
                upstream = source.subscribe(workers.push, workers.fail, workers.end, scheduler=scheduler)
                return CompositeDisposable(upstream, Disposable(workers.stop))
            workers.spawn(workers.pull(source))
            return Disposable(workers.stop)

        return Observable(subscribe)

    return operator
