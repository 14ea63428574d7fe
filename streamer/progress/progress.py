"""The whole of what is to be done, to be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import reactivex
from reactivex import Observable
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler

from streamer.progress.node import Node, positive
from streamer.progress.snapshot import Snapshot

if TYPE_CHECKING:
    from rich.console import Console


class Progress(Node):
    """The root of a tree of nodes: what a program advances itself, what follows tasks, or both.

    Given to ``Engine.run`` as ``watched``, it (or any node) follows the task. Nobody is told of anything: the tree is
    looked at when somebody asks, and costs nothing else. It belongs to the loop that its tasks run on.
    """

    def values(self, every: float = 0.1) -> Observable[Snapshot]:
        """How far it is, now and every so many seconds, on the running loop; completes with the value of its end."""
        positive("every", every)

        def begin(scheduler: Any) -> Observable[Snapshot]:
            del scheduler
            on_loop = AsyncIOScheduler(asyncio.get_running_loop())
            return reactivex.interval(every, scheduler=on_loop).pipe(
                ops.start_with(0),
                ops.map(lambda _: self.snapshot()),
                ops.take_while(goes_on, inclusive=True),
            )

        return reactivex.defer(begin)

    @contextmanager
    def display(self, console: Console | None = None, every: float = 0.25) -> Iterator[None]:
        """Show it on a terminal while the block runs, on a loop; on anything else, nothing.

        ``console`` is rich's, by default one of standard error.
        """
        from streamer.progress.display import Display

        with Display(console) as shown:
            if not shown.visible:
                yield
                return
            watching = self.values(every).subscribe(shown.show)
            try:
                yield
            finally:
                watching.dispose()
                shown.show(self.snapshot())


def goes_on(snapshot: Snapshot) -> bool:
    return not snapshot.over
