"""Many children side by side: the one loop of all that run more than one at a time and want them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from streamer.attempts import let_go
from streamer.errors import CallFailed, Cancelled, Category, ChildrenFailed, Skipped
from streamer.operators.kept import Values, kept
from streamer.operators.policy import Policy
from streamer.operators.reading import END, Items
from streamer.operators.reduction import REDUCTIONS
from streamer.operators.rolling import Rolling
from streamer.operators.telling import Callbacks
from streamer.remembering import joined
from streamer.settings import steps_in_parallel
from streamer.settled import Settled
from streamer.single import Single
from streamer.step import Step

CONCURRENCY = 100
NAMED = 100
"""Failures that are kept of an input whose length nobody knows: those of the lowest indices."""


class Plan:
    """How children are run side by side, judged when it is made.

    ``make`` gives the child of an item and its index, ``total`` is how many there are, if that is known.
    """

    def __init__(
        self,
        what: str,
        make: Callable[[Any, int], Single[Any]],
        *,
        total: int | None,
        names: Sequence[str] | None = None,
        concurrency: int | None,
        batch_size: int | None = None,
        policy: Policy,
        reduce: str | None,
        callbacks: Callbacks,
    ) -> None:
        self.what = what
        self.make = make
        self.total = total
        self.names = names
        self.limit = CONCURRENCY if concurrency is None else whole("concurrency", concurrency)
        self.lends = steps_in_parallel()
        """Whether a child that backs off makes room meanwhile; not if there is to be one at a time."""
        if not self.lends:
            self.limit = 1
        self.batch = None if batch_size is None else whole("batch_size", batch_size)
        self.policy = policy.of(total)
        if reduce is not None and reduce not in REDUCTIONS:
            raise ValueError(f"reduce is one of {', '.join(REDUCTIONS)}, not {reduce!r}.")
        self.reduce = reduce
        self.callbacks = callbacks


class Together(Rolling):
    """One run of a plan.

    Invariants: every child ends as a value, a failure or skipped, and is told of once. Of an input whose length
    nobody knows nothing is kept of a child that has ended but its value and what it cost.
    """

    def __init__(self, plan: Plan, step: Step, items: Items) -> None:
        super().__init__(
            step.scope, items, total=plan.total, limit=plan.limit, batch=plan.batch, lends=plan.lends
        )
        self.plan = plan
        self.step = step
        step.total, step.endless = plan.total, plan.total is None
        if step.endless:
            step.dropped, step.before = 0, max(step.before, step.most)
        self.kept = kept(plan.reduce, plan.total is not None)
        self.settled: Settled | None = None
        if plan.total is not None and plan.names is None and isinstance(self.kept, Values):
            self.settled = Settled(plan.total, self.kept.values, step.settled)
        step.settled = self.settled
        self.failures: dict[int, Exception] = {}
        self.failed = self.told = 0
        self.untold: list[tuple[int, Any, Exception | None]] = []
        self.furthest: Step | None = None

    async def run(self) -> Any:
        """The children's values in the input's shape, or the reduced one."""
        step, plan = self.step, self.plan
        step.combines, step.named = True, plan.names is not None
        try:
            while not self.hopeless():
                if self.untold:
                    await self.tell()
                self.hire()
                if self.done:
                    break
                await self.roused()
        finally:
            rest = await self.wound_up()
        for index, child in enumerate(rest, self.begun):
            child.skipped = why = "A sibling failed before it began."
            self.fails(index, Skipped(why))
        if self.furthest is not None and not plan.policy.fail_fast:
            joined(step.scope, (self.furthest,))
        await self.tell()
        return self.judged(self.begun + len(rest))

    def key(self, index: int) -> int | str:
        return index if self.plan.names is None else self.plan.names[index]

    def hopeless(self) -> bool:
        """Whether there is no use in going on."""
        return self.plan.policy.stops(self.failed, self.total)

    def begin(self, item: Any, index: int) -> tuple[Step, Single[Any]]:
        single = self.plan.make(item, index)
        child = self.step.child(self.key(index), single)
        self.kept.begin()
        return child, single

    def ended(self, index: int, child: Step, value: Any, error: Exception | None) -> None:
        plan = self.plan
        if error is None:
            self.kept.add(index, value)
            if plan.callbacks.wanted:
                self.untold.append((index, value, None))
        else:
            self.fails(index, error)
            if self.hopeless():
                self.halted = True
                self.news.set()
        if plan.callbacks.wanted:
            self.news.set()
        else:
            self.free(index)
        if child.certain and self.step.scope.journal is not None:
            self.furthest = child
        if plan.total is None:
            let_go(self.step, index)
        elif error is None and self.settled is not None:
            self.settled.take(self.step, index, child)

    def fails(self, index: int, error: Exception) -> None:
        self.failed += 1
        self.failures[index] = error
        if self.plan.total is None and len(self.failures) > NAMED:
            del self.failures[max(self.failures)]
        if self.plan.callbacks.wanted:
            self.untold.append((index, None, error))

    async def wound_up(self) -> list[Step]:
        """Stop, and give the steps of those that never began; what there was is seen even if the grace is too short."""
        self.halted = True
        rest: list[Step] = []
        try:
            if self.running:
                rest = self.left()
                self.step.value = self.finished()
        finally:
            try:
                await self.stop()
            finally:
                try:
                    rest += self.left()
                finally:
                    self.reading.close()
                    self.step.value = self.finished()
        return rest

    def left(self) -> list[Step]:
        """The steps of those that never begin, where it is known how many there are."""
        left: list[Step] = []
        if self.plan.total is not None and not self.exhausted:
            while (item := self.reading.take()) is not END:
                index = self.begun + len(left)
                left.append(self.step.child(self.key(index), self.plan.make(item, index)))
                self.kept.begin()
            self.exhausted = True
        return left

    async def tell(self) -> None:
        """Tell of those that have ended, in the order they did; of those at the same time, in the input's."""
        untold, self.untold = sorted(self.untold, key=itemgetter(0)), []
        callbacks = self.plan.callbacks
        for index, value, error in untold:
            self.told += 1
            self.free(index)
            key = self.key(index)
            if error is None:
                await callbacks.completed(value, key, self.told, self.total)
            else:
                await callbacks.failed(error, key, self.told, self.total)

    def finished(self) -> Any:
        """What there is of the value, whatever has failed."""
        try:
            return self.kept.whole(self.plan.names)
        except CallFailed:
            return None

    def judged(self, total: int) -> Any:
        """The value, if enough have succeeded."""
        plan, failures = self.plan, self.failures
        if plan.policy.satisfied(total - self.failed, total):
            return self.step.value if plan.reduce is None else self.kept.whole(plan.names)
        if not failures:
            raise CallFailed(
                Category.INVALID_REQUEST,
                f"{plan.what}: require is {plan.policy.require}, but there were only {total} items.",
            )
        # what stopped the others comes first: siblings that were stopped explain nothing
        ordered = sorted(
            failures, key=lambda index: (isinstance(failures[index], Cancelled | Skipped), index)
        )
        causes = {self.key(index): failures[index] for index in ordered}
        raise ChildrenFailed(plan.what, causes, total, self.step.value, self.failed)


def whole(name: str, value: int) -> int:
    """A setting that is a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is a whole number of at least 1, not {value!r}.")
    return value
