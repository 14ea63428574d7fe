"""What many answers agree on: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import isfinite
from typing import Any

from streamer.operators.comparing import ABSTAINS, COMPARISONS, Comparison, comparison, parsed

STRATEGIES = ("majority", "unanimous", "weighted", "best", "merge")
WEIGHED = ("weighted", "best")
ROUNDING = 1e-9
ABSENT = object()
"""The key of a field that an object does not have."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The value that most agree on, their share of all who were asked, and whose answer it is, if it is one's."""

    value: Any
    agreement: float
    index: int | None


class Election:
    """How answers are counted; its settings are judged when it is made.

    ``majority`` counts heads and ``weighted`` weights; ``unanimous`` wants all who were asked; ``best`` takes the
    answer of the one with the highest weight among those that answered, if enough heads agree with it; ``merge``
    takes a majority for each field of objects, a field's absence being a vote too, and is as sure as its least
    sure field. Ties go to the lowest index.
    """

    def __init__(
        self,
        asked: int,
        strategy: str = "majority",
        weights: Sequence[float] | None = None,
        compare: str = "exact",
        threshold: float = 0.8,
        minimum_agreement: float = 0.6,
    ) -> None:
        if asked < 2:
            raise ValueError(f"consensus() needs at least two tasks, not {asked}.")
        chosen("strategy", strategy, STRATEGIES)
        chosen("compare", compare, COMPARISONS)
        share("threshold", threshold)
        share("minimum_agreement", minimum_agreement)
        weighed(weights, strategy, asked)
        self.asked = asked
        self.strategy = strategy
        self.compare: Comparison = comparison(compare, threshold)
        self.json = compare == "json"
        self.weights = None if weights is None else tuple(weights)
        self.needed = 1.0 if strategy == "unanimous" else minimum_agreement
        self.vote = (Fraction(1),) * asked
        if weights is not None and strategy == "weighted":
            # exact, as they were written: 0.1 and 0.2 weigh as much as 0.3, in whatever order they are added
            self.vote = tuple(Fraction(repr(float(weight))) for weight in weights)
        self.total = sum(self.vote)


class Count:
    """The answers to one election, in whatever order they come.

    Invariants: the verdict depends on the answers alone, never on their order; its agreement is a share of all who
    were asked, at most that of those who answered; once nothing is ``possible``, no further answer makes it enough.
    """

    def __init__(self, election: Election) -> None:
        self.election = election
        self.open = set(range(election.asked))
        self.values: dict[int, Any] = {}
        self.keys: dict[int, Any] = {}

    def answered(self, index: int, value: Any) -> None:
        """An answer; one that the comparison can't read is as good as none."""
        election = self.election
        self.open.discard(index)
        self.values[index] = value
        if election.strategy == "merge":
            found = parsed(value) if election.json else value
            if isinstance(found, dict):
                self.keys[index] = {name: (election.compare.key(item), item) for name, item in found.items()}
            return
        key = election.compare.key(value)
        if key is not ABSTAINS:
            self.keys[index] = key

    def failed(self, index: int) -> None:
        """No answer will come."""
        self.open.discard(index)

    def enough(self, verdict: Verdict) -> bool:
        """Whether so many agree as must."""
        return bool(self.keys) and verdict.agreement + ROUNDING >= self.election.needed

    def possible(self) -> bool:
        """Whether the answers to come, should they all be the right ones, could still make it enough."""
        election = self.election
        left = sum((election.vote[index] for index in self.open), Fraction())
        if election.strategy != "merge":
            most = self.most(self.keys)
        else:
            most = min(
                (self.most(self.field(name)) for name in self.names()), default=Fraction(len(self.keys))
            )
        return float((most + left) / election.total) + ROUNDING >= election.needed

    def most(self, keys: dict[int, Any]) -> Fraction:
        """The most votes of one value, at most: where likeness counts, one to come may be like all the others."""
        vote = self.election.vote
        if self.election.compare.alike is not None:
            return sum((vote[index] for index in keys), Fraction())
        votes: dict[Any, Fraction] = {}
        for index, key in keys.items():
            votes[key] = votes.get(key, Fraction()) + vote[index]
        return max(votes.values(), default=Fraction())

    def verdict(self) -> Verdict:
        """What the answers so far amount to."""
        election = self.election
        if election.strategy == "merge":
            return self.merged()
        if not self.keys:
            return Verdict(None, 0.0, None)
        votes = self.votes(self.keys)
        if election.strategy == "best":
            assert election.weights is not None
            weights = election.weights
            index = min(votes, key=lambda index: (-weights[index], index))
        else:
            index = first(votes)
        return Verdict(self.values[index], float(votes[index] / election.total), index)

    def merged(self) -> Verdict:
        """An object of what most say of each of its fields."""
        least = float(len(self.keys) / self.election.total)
        value: dict[str, Any] = {}
        for name in self.names():
            keys = self.field(name)
            votes = self.votes(keys)
            if not votes:
                least = 0.0
                continue
            index = first(votes)
            least = min(least, float(votes[index] / self.election.total))
            if keys[index] is not ABSENT:
                value[name] = self.keys[index][name][1]
        return Verdict(value, least, None)

    def names(self) -> Iterable[str]:
        """The fields of all objects, in the order of the lowest index that has them."""
        return dict.fromkeys(name for index in sorted(self.keys) for name in self.keys[index])

    def field(self, name: str) -> dict[int, Any]:
        """What each object has there."""
        keys = {index: fields[name][0] if name in fields else ABSENT for index, fields in self.keys.items()}
        return {index: key for index, key in keys.items() if key is not ABSTAINS}

    def votes(self, keys: dict[int, Any]) -> dict[int, Fraction]:
        """For each answer the votes of all that agree with it."""
        vote, alike = self.election.vote, self.election.compare.alike
        # what has no hash stands by itself, as its index; what is equal is compared with the others once
        groups = {index: index if isinstance(key, dict | list) else key for index, key in keys.items()}
        own: dict[Any, Fraction] = {}
        for index, group in groups.items():
            own[group] = own.get(group, Fraction()) + vote[index]
        sums = dict(own)
        if alike is not None:
            held = {group: keys[index] for index, group in groups.items()}
            for one, other in combinations(own, 2):
                if both(alike, held[one], held[other]):
                    sums[one] += own[other]
                    sums[other] += own[one]
        return {index: sums[group] for index, group in groups.items()}


def both(alike: Any, one: Any, other: Any) -> bool:
    """Whether both are absent, or both there and alike."""
    return one is other if one is ABSENT or other is ABSENT else bool(alike(one, other))


def first(votes: dict[int, Fraction]) -> int:
    """The index with the most votes, of a tie the lowest."""
    return min(votes, key=lambda index: (-votes[index], index))


def chosen(name: str, value: Any, among: Sequence[str]) -> None:
    """Refuse what is none of these."""
    if value not in among:
        raise ValueError(f"{name} is one of {', '.join(among)}, not {value!r}.")


def share(name: str, value: Any) -> None:
    """Refuse what is no share."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name} is from 0 to 1, not {value!r}.")


def weighed(weights: Sequence[float] | None, strategy: str, asked: int) -> None:
    """Refuse weights that are missing, wrong, or of no use."""
    if strategy not in WEIGHED:
        if weights is not None:
            raise ValueError(f"weights go with strategy {' and '.join(WEIGHED)}, not with {strategy!r}.")
        return
    if weights is None:
        raise ValueError(f"strategy {strategy!r} needs weights, one for each task.")
    if isinstance(weights, str) or len(weights) != asked:
        raise ValueError(f"weights are {asked}, one for each task, not {weights!r}.")
    for weight in weights:
        if (
            isinstance(weight, bool)
            or not isinstance(weight, int | float)
            or not isfinite(weight)
            or weight < 0
        ):
            raise ValueError(f"weights are finite numbers of at least 0, not {weight!r}.")
    if not any(weights):
        raise ValueError("weights are not all 0.")
