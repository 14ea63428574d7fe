"""The first success wins."""

from __future__ import annotations

from typing import Any

import msgspec

from streamer.errors import Cancelled, ChildrenFailed
from streamer.operand import as_single
from streamer.operators.children import Children
from streamer.operators.hedging import Delay, Hedging, Starts, shared
from streamer.operators.telling import Callback, Callbacks, tell
from streamer.remembering import Win, joined
from streamer.scope import own_cancellation
from streamer.single import Operand, Single
from streamer.step import Step
from streamer.tasks import Seconds


def race(
    *contenders: Operand,
    win_on: str = "success",
    hedge_delay: Delay | None = None,
    hedging: Hedging | None = None,
    on_error: Callback | None = None,
) -> Single[Any]:
    """Start all at once; the value is that of the first to *succeed*, whatever failed before it.

    With ``win_on="completion"`` it is the first to end, well or not. Ties go to the lowest index. The losers are
    cancelled, and awaited within the grace. If all fail: one :class:`ChildrenFailed` with every failure by its
    index. Without contenders: ``ValueError``. A race that its task's journal remembers as won starts the winner
    alone, and the others only should it fail.

    With ``hedge_delay`` only the first starts at once, and each further one that many seconds after the one before it
    without an answer, or when all that have started have failed. ``"p95"`` is what 95 of 100 successes of the one before
    took, as this process saw them: the latest 200 of the same provider and model, and 2 s while there are not 20. Starts
    beside another are extra calls: at most a tenth of those of hedged races within a minute, or 10, unless ``hedging``
    brings a budget of its own.

    ``on_error(error, index)``, sync or async, is told of each contender that fails before the race is decided; what it
    raises changes nothing.
    """
    if not contenders:
        raise ValueError("race() needs at least one contender.")
    if win_on not in ("success", "completion"):
        raise ValueError(f"win_on is 'success' or 'completion', not {win_on!r}.")
    if hedge_delay is not None and hedge_delay != "p95":
        try:
            msgspec.convert(hedge_delay, Seconds)
        except msgspec.ValidationError as error:
            raise ValueError(f"hedge_delay: {error}, or 'p95', not {hedge_delay!r}; in seconds.") from error
    if hedging is not None and (hedge_delay is None or not isinstance(hedging, Hedging)):
        raise ValueError(f"hedging is a Hedging, and goes with a hedge_delay; not {hedging!r}.")
    told = Callbacks(None, None, on_error).error
    singles = [as_single(contender) for contender in contenders]

    async def run(step: Step) -> Any:
        step.combines = True
        scope, journal = step.scope, step.scope.journal
        children = Children(step)
        failures: dict[int | str, Exception] = {}
        untold: list[tuple[Exception, int]] = []
        steps = [step.child(index, single) for index, single in enumerate(singles)]
        win = None if journal is None else Win(journal, step, len(singles))
        winner = None if win is None else win.recall()
        asks = [single.asks for single in singles] if hedge_delay == "p95" else ()
        known = hedging or scope.hedging or shared
        starts = Starts(len(singles), hedge_delay, asks, known, winner)

        def won(index: int) -> None:
            step.winner = index
            if win is not None:
                joined(scope, (steps[index],))
                if winner is None:
                    win.note(index)
            for other in starts.waiting:
                if hedge_delay is not None:
                    steps[other].skipped = "Another contender had answered before its turn came."
                else:
                    steps[other].refuse(
                        Cancelled("Another contender had won before its task was taken up again.")
                    )

        async def report() -> None:
            while untold and told is not None:
                await tell(told, *untold.pop(0))

        try:
            while len(failures) < len(singles):
                while (turn := starts.next(scope.now())) is not None:
                    children.start(turn, steps[turn], singles[turn])
                if untold:
                    await report()
                for index in await children.next(starts.due):
                    try:
                        value = children.outcome(index)
                    except Exception as error:
                        if told is not None:
                            untold.append((error, index))
                        if win_on == "completion":
                            won(index)
                            raise
                        failures[index] = error
                        starts.failed()
                    else:
                        won(index)
                        step.answered = children.steps[index].answered
                        return value
                if winner in failures:
                    winner = None
        finally:
            await children.stop()
            if untold and not own_cancellation():
                await report()
            if hedge_delay == "p95" and (journal is None or not journal.restarted):
                learn(known, step, steps, singles)
        if journal is not None:
            joined(scope, steps)
        raise ChildrenFailed("race", dict(sorted(failures.items())), len(singles))

    return Single(
        run,
        "race",
        given=lambda previous: race(
            *(single.given(previous) for single in singles),
            win_on=win_on,
            hedge_delay=hedge_delay,
            hedging=hedging,
            on_error=on_error,
        ),
        context_window=widest(singles),
    )


def learn(hedging: Hedging, step: Step, steps: list[Step], singles: list[Single[Any]]) -> None:
    """Remember how long the winner took, and how long the losers had."""
    if step.winner is None:
        return
    end = steps[step.winner].finished
    assert end is not None
    for index, child in enumerate(steps):
        if index == step.winner:
            if child.error is None and child.started is not None:
                hedging.answered(singles[index].asks, end - child.started)
        elif child.started is not None and (child.finished is None or child.finished >= end):
            hedging.overtaken(singles[index].asks, end - child.started)


def widest(singles: list[Single[Any]]) -> int | None:
    """The widest context window among them; None where one is not known."""
    windows = [single.context_window for single in singles]
    return None if None in windows else max(w for w in windows if w is not None)
