"""What attempts beyond the first may cost: the budget of the whole task, and that of the provider."""

from __future__ import annotations

from streamer.errors import CallFailed, Category, SettingsError
from streamer.limits import ExtraCalls
from streamer.step import Step

OF_THE_TASK = "The task's retry budget is spent."


def affordable(retry_budget: int | None) -> int | None:
    """A task's budget, or a SettingsError with its range."""
    if retry_budget is not None and (
        isinstance(retry_budget, bool) or not isinstance(retry_budget, int) or retry_budget < 0
    ):
        raise SettingsError(f"retry_budget is a whole number of at least 0, not {retry_budget!r}.")
    return retry_budget


def spent(step: Step) -> str | None:
    """Draw another attempt of what stands at this step from both budgets; or why there can be none.

    Where it is not one call, each call below draws its own when it is made again.
    """
    scope = step.scope
    if scope.retries_left is not None and scope.retries_left < 1:
        return OF_THE_TASK
    if step.combines or (step.calls and not step.attempts):
        return None
    if step.extra is not None and not step.extra.allow(scope.now()):
        return of_the_provider(step.extra)
    if scope.retries_left is not None:
        scope.retries_left -= 1
    step.drawn = True
    return None


def draw(step: Step, extra: ExtraCalls | None) -> None:
    """The call at this step is made again; unless that was drawn before, by what repeats it, it is now."""
    scope = step.scope
    if step.drawn:
        step.drawn = False
        return
    if scope.retries_left is not None and scope.retries_left < 1:
        raise CallFailed(Category.BUDGET, OF_THE_TASK)
    if extra is not None and not extra.allow(scope.now()):
        raise CallFailed(Category.BUDGET, of_the_provider(extra))
    if scope.retries_left is not None:
        scope.retries_left -= 1


def of_the_provider(extra: ExtraCalls) -> str:
    """What is spent."""
    return (
        f"The provider's retry budget is spent: {extra.extra} of {extra.calls} calls within "
        f"{extra.window:g} s were retries, of which {extra.share:g} may be, or {extra.minimum}."
    )
