"""The first success wins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from streamer.errors import Cancelled, ChildrenFailed
from streamer.operand import as_single
from streamer.operators.children import Children
from streamer.remembering import Win, joined
from streamer.single import Operand, Single
from streamer.step import Step


def race(*contenders: Operand, win_on: str = "success") -> Single[Any]:
    """Start all at once; the value is that of the first to *succeed*, whatever failed before it.

    With ``win_on="completion"`` it is the first to end, well or not. Ties go to the lowest index. The losers are
    cancelled, and awaited within the grace. If all fail: one :class:`ChildrenFailed` with every failure by its
    index. Without contenders: ``ValueError``. A race that its task's journal remembers as won starts the winner
    alone, and the others only should it fail.
    """
    if not contenders:
        raise ValueError("race() needs at least one contender.")
    if win_on not in ("success", "completion"):
        raise ValueError(f"win_on is 'success' or 'completion', not {win_on!r}.")
    singles = [as_single(contender) for contender in contenders]

    async def run(step: Step) -> Any:
        step.combines = True
        children = Children(step)
        failures: dict[int | str, Exception] = {}
        steps = [step.child(index, single) for index, single in enumerate(singles)]
        journal = step.scope.journal
        win = None if journal is None else Win(journal, step, len(singles))
        winner = None if win is None else win.recall()

        def start(indices: Iterable[int]) -> None:
            for index in indices:
                children.start(index, steps[index], singles[index])

        def won(index: int) -> None:
            step.winner = index
            if win is None:
                return
            joined(step.scope, (steps[index],))
            if winner is None:
                win.note(index)
            for other, child in enumerate(steps):
                if other not in children.tasks:
                    child.refuse(Cancelled("Another contender had won before its task was taken up again."))

        try:
            start(range(len(singles)) if winner is None else (winner,))
            while len(failures) < len(singles):
                for index in await children.next():
                    try:
                        value = children.outcome(index)
                    except Exception as error:
                        if win_on == "completion":
                            won(index)
                            raise
                        failures[index] = error
                    else:
                        won(index)
                        step.answered = children.steps[index].answered
                        return value
                if winner in failures:
                    start(index for index in range(len(singles)) if index != winner)
                    winner = None
        finally:
            await children.stop()
        if journal is not None:
            joined(step.scope, steps)
        raise ChildrenFailed("race", dict(sorted(failures.items())), len(singles))

    return Single(
        run,
        "race",
        given=lambda previous: race(*(single.given(previous) for single in singles), win_on=win_on),
        context_window=widest(singles),
    )


def widest(singles: list[Single[Any]]) -> int | None:
    """The widest context window among them; None where one is not known."""
    windows = [single.context_window for single in singles]
    return None if None in windows else max(w for w in windows if w is not None)
