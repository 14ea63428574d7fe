"""What they agree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamer.errors import CallFailed, Category, ChildrenFailed, category_of, short
from streamer.operand import as_single
from streamer.operators.agreement import Count, Election, Verdict
from streamer.operators.children import Children
from streamer.operators.together import CONCURRENCY, whole
from streamer.remembering import joined
from streamer.settings import steps_in_parallel
from streamer.single import Operand, Single
from streamer.step import Step


def consensus(
    *tasks: Operand,
    strategy: str = "majority",
    weights: Sequence[float] | None = None,
    compare: str = "exact",
    threshold: float = 0.8,
    minimum_agreement: float = 0.6,
    concurrency: int | None = None,
) -> Single[Any]:
    """Ask them all; the value is the one that most agree on, as the lowest index among those gave it.

    ``strategy`` is ``majority``, ``unanimous``, ``weighted`` (by ``weights``, one for each task), ``best`` (of the
    highest weight among those that answered) or ``merge`` (a majority for each field of objects). ``compare`` is
    ``exact``, ``normalized`` (without case, blanks and punctuation around), ``json``, ``number`` (the one in a text) or
    ``similarity`` (of letters, from ``threshold`` on; numbers must be the same). At least ``minimum_agreement`` of
    *all that were asked*, failures included, must agree, else it fails with ``no_agreement``; if all fail, with
    :class:`ChildrenFailed`. Ties go to the lowest index. Once somebody has answered and the minimum is out of reach,
    as it is for ``unanimous`` after one failure, what still runs is cancelled. ``concurrency`` is at most how many
    run at a time (100). Fewer than two tasks are a ``ValueError``.
    """
    election = Election(len(tasks), strategy, weights, compare, threshold, minimum_agreement)
    singles = [as_single(task) for task in tasks]
    limit = CONCURRENCY if concurrency is None else whole("concurrency", concurrency)
    if not steps_in_parallel():
        limit = 1

    async def run(step: Step) -> Any:
        step.combines = True
        steps = [step.child(index, single) for index, single in enumerate(singles)]
        children = Children(step)
        count = Count(election)
        failures: dict[int | str, Exception] = {}
        begun = 0
        try:
            while count.open and (not count.values or count.possible()):
                while begun < len(singles) and begun - len(count.values) - len(failures) < limit:
                    children.start(begun, steps[begun], singles[begun])
                    begun += 1
                for index in await children.next():
                    try:
                        count.answered(index, children.outcome(index))
                    except Exception as error:
                        failures[index] = error
                        count.failed(index)
        finally:
            await children.stop()
        if step.scope.journal is not None and not count.open:
            joined(step.scope, steps)
        for child in steps[begun:]:
            child.skipped = "The others could not agree any more."
        failures = dict(sorted(failures.items()))
        if not count.values:
            raise ChildrenFailed("consensus", failures, len(singles))
        verdict = count.verdict()
        step.agreement = verdict.agreement
        if not count.enough(verdict):
            raise CallFailed(Category.NO_AGREEMENT, disagreement(election, verdict, failures))
        if verdict.index is not None:
            step.answered = steps[verdict.index].answered
        return verdict.value

    return Single(
        run,
        "consensus",
        given=lambda previous: consensus(
            *(single.given(previous) for single in singles),
            strategy=strategy,
            weights=weights,
            compare=compare,
            threshold=threshold,
            minimum_agreement=minimum_agreement,
            concurrency=concurrency,
        ),
    )


def disagreement(election: Election, verdict: Verdict, failures: dict[int | str, Exception]) -> str:
    """How far they are from agreeing, and who did not answer."""
    text = (
        f"consensus: {verdict.agreement:.3g} of the {election.asked} asked agree ({election.strategy}), "
        f"{election.needed:g} must."
    )
    if failures:
        named = "; ".join(f"{i}: {category_of(e)}: {short(e)}" for i, e in list(failures.items())[:8])
        text += f" {len(failures)} failed ({named}{'; …' if len(failures) > 8 else ''})."
    return text
