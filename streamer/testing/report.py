"""What a simulation tells: what it went through, or which promise was broken."""

from dataclasses import dataclass


class Violation(AssertionError):
    """A promise does not hold: `invariant` is its name, the users' one where they know it."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant


@dataclass
class Report:
    """What one simulation went through; equal for equal seeds, steps and objects under test.

    Of eight seeds in a row two are ``calm``, without rebalances and crashes; in four results and commits are one
    transaction (``exactly_once``); three have messages that are ``poisonous``; in one commits are ``tampered`` with.
    """

    seed: int
    steps: int
    messages: int = 0
    paid: int = 0
    paid_again: int = 0
    recalled: int = 0
    journaled: int = 0
    unjournaled: int = 0
    truncated: int = 0
    found: int = 0
    results: int = 0
    refused: int = 0
    parked: int = 0
    late: int = 0
    lost: int = 0
    gated: int = 0
    commits: int = 0
    failed_commits: int = 0
    transactions: int = 0
    aborted: int = 0
    unknown: int = 0
    fenced: int = 0
    openings: int = 0
    restored: int = 0
    restarted: int = 0
    degraded: int = 0
    rebalances: int = 0
    left: int = 0
    resumed: int = 0
    foreign: int = 0
    thawed: int = 0
    crashes: int = 0
    unclean: int = 0
    poisoned: int = 0
    trials: int = 0
    dead_letters: int = 0
    recreated: int = 0
    widest: int = 0
    longest: int = 0

    @property
    def keyed(self) -> bool:
        return self.seed % 3 != 0

    @property
    def calm(self) -> bool:
        return self.seed % 4 == 3

    @property
    def exactly_once(self) -> bool:
        return self.seed % 2 == 0

    @property
    def poisonous(self) -> bool:
        return self.seed % 4 == 0 or self.seed % 8 == 1

    @property
    def tampered(self) -> bool:
        return self.seed % 8 == 5
