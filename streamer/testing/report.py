"""What a simulation tells: what it went through, or which promise was broken."""

from dataclasses import dataclass


class Violation(AssertionError):
    """A promise does not hold: `invariant` is its name, the users' one where they know it."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant


@dataclass
class Report:
    """What one simulation went through; equal for equal seeds, steps and objects under test."""

    seed: int
    steps: int
    keyed: bool
    calm: bool
    messages: int = 0
    results: int = 0
    refused: int = 0
    parked: int = 0
    late: int = 0
    lost: int = 0
    commits: int = 0
    failed_commits: int = 0
    openings: int = 0
    restored: int = 0
    degraded: int = 0
    rebalances: int = 0
    crashes: int = 0
    recreated: int = 0
    widest: int = 0
    longest: int = 0
