"""What is kept of children that succeeded: their values in input order, or only what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from streamer.errors import CallFailed
from streamer.operators.reduction import FOLDS, REDUCTIONS


class Kept(Protocol):
    """Told of each child in input order as it begins, and of its value in any order."""

    def begin(self) -> None: ...
    def add(self, index: int, value: Any) -> None: ...
    def whole(self, names: Sequence[Any] | None) -> Any:
        """The value so far, a failed reduction raised."""


class Values:
    """All values; None for a child that has none."""

    def __init__(self, reduce: str | None) -> None:
        self.reduce = reduce
        self.values: list[Any] = []
        self.succeeded = bytearray()

    def begin(self) -> None:
        self.values.append(None)
        self.succeeded.append(False)

    def add(self, index: int, value: Any) -> None:
        self.values[index] = value
        self.succeeded[index] = True

    def whole(self, names: Sequence[Any] | None) -> Any:
        if self.reduce is not None:
            return REDUCTIONS[self.reduce](
                [value for value, good in zip(self.values, self.succeeded, strict=True) if good]
            )
        return self.values if names is None else dict(zip(names, self.values, strict=False))


class Folded:
    """One value, however many there were."""

    def __init__(self, fold: Callable[[Any, Any], Any]) -> None:
        self.fold = fold
        self.value: Any = 0
        self.refused: CallFailed | None = None

    def begin(self) -> None:
        """There is nothing to keep a place for."""

    def add(self, index: int, value: Any) -> None:
        del index
        try:
            self.value = self.fold(self.value, value)
        except CallFailed as error:
            self.refused = self.refused or error

    def whole(self, names: Sequence[Any] | None) -> Any:
        del names
        if self.refused is not None:
            raise self.refused
        return self.value


def kept(reduce: str | None, sized: bool) -> Kept:
    """Of an input whose length nobody knows, as little as its reduction needs."""
    if reduce is not None and not sized and reduce in FOLDS:
        return Folded(FOLDS[reduce])
    return Values(reduce)
