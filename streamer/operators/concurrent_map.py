"""The stream's one operator of our own: a function over items, so many at once, results as they come."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from streamer.limits import Slots
from streamer.operators.workers import Workers

T = TypeVar("T")
U = TypeVar("U")
Items = Observable[T] | Iterable[T] | AsyncIterable[T]


def concurrent_map(
    fn: Callable[[T], Awaitable[U]], limit: int | Slots, bound: int | None = None
) -> Callable[[Items[T]], Observable[U]]:
    """Await ``fn(item)`` for at most ``limit`` items at once and emit the values as they come.

    The source is an Observable, an iterable or an async iterable; of the latter two at most ``limit`` items wait,
    read as there is room. An Observable can't be told to wait: more than ``bound`` waiting items are an
    ``OverflowError``. Completes when the source has and nothing runs, strays included; an empty source completes
    at once. An error of ``fn`` or of the source cancels what runs, and is the stream's error once that has ended or
    had the grace to. Disposing cancels.
    """
    if not isinstance(limit, Slots):
        Slots(limit, "limit")
    if bound is not None:
        Slots(bound, "bound")

    def operator(source: Items[T]) -> Observable[U]:
        def subscribe(
            observer: abc.ObserverBase[U], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            slots = limit if isinstance(limit, Slots) else Slots(limit)
            workers = Workers(fn, slots, bound, observer)
            if isinstance(source, Observable):
                upstream = source.subscribe(workers.push, workers.fail, workers.end, scheduler=scheduler)
                return CompositeDisposable(upstream, Disposable(workers.stop))
            workers.spawn(workers.pull(source))
            return Disposable(workers.stop)

        return Observable(subscribe)

    return operator
