"""How many of an operator's children must succeed, and when there is no use in going on: pure, one for all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """What several children mean together. It is told what has ended so far; it reads no clock and keeps no count.

    ``require`` says how many must succeed: ``"all"``, ``"any"``, ``"none"`` or a number. With ``fail_fast`` the
    operator stops once that can't be met any more: one that runs its children at once cancels the others, one
    that runs them one at a time begins no other. ``total`` is None while nobody knows how many there will be.

    Invariants: what is hopeless stays so whatever ends after it, and is not satisfied in the end; what is not
    hopeless with all ended is satisfied; without ``fail_fast`` nothing stops.
    """

    require: str | int = "all"
    fail_fast: bool = False

    def __post_init__(self) -> None:
        if self.require not in ("all", "any", "none") and (
            isinstance(self.require, bool) or not isinstance(self.require, int) or self.require < 0
        ):
            raise ValueError(
                f"require is 'all', 'any', 'none' or a number of at least 0, not {self.require!r}."
            )
        if not isinstance(self.fail_fast, bool):
            raise ValueError(f"fail_fast is True or False, not {self.fail_fast!r}.")

    def of(self, total: int | None) -> Policy:
        """The same, if so many children can meet it; else a ValueError."""
        if total is not None and isinstance(self.require, int) and self.require > total:
            raise ValueError(f"require is at most the number of tasks, {total}, not {self.require}.")
        return self

    def needed(self, total: int) -> int:
        """How many of ``total`` must succeed."""
        if isinstance(self.require, int):
            return self.require
        return {"all": total, "any": min(1, total), "none": 0}[self.require]

    def hopeless(self, failed: int, total: int | None) -> bool:
        """Whether too many have failed already, however the others end."""
        if total is None:
            return failed > 0 and self.require == "all"
        return total - failed < self.needed(total)

    def stops(self, failed: int, total: int | None) -> bool:
        """Whether to begin nothing more, and to stop what runs."""
        return self.fail_fast and self.hopeless(failed, total)

    def satisfied(self, succeeded: int, total: int) -> bool:
        """Whether enough have succeeded, now that all have ended."""
        return succeeded >= self.needed(total)


STOP = Policy(fail_fast=True)
"""All must succeed, and the first failure is the end: a sequence's ``stop``."""
CONTINUE = Policy()
"""All must succeed, and all are begun: a sequence's ``continue``."""
ON_ERROR = {"stop": STOP, "continue": CONTINUE}


def on_error_policy(on_error: str) -> Policy:
    """What ``on_error`` means."""
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error is 'stop' or 'continue', not {on_error!r}.")
    return ON_ERROR[on_error]
