"""What is worth another attempt: by category, by type, or by a predicate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable

from streamer.errors import RETRIED, Category, category_of

Wanted = Callable[[Exception], bool | Awaitable[bool]]
RetryOn = Collection[Category | str | type[Exception]] | Wanted | type[Exception] | str


def chooser(retry_on: RetryOn | None) -> Wanted:
    """Whether an error is worth another attempt; of exception types, subclasses count as well."""
    if retry_on is None:
        return passes
    if isinstance(retry_on, type | str):
        retry_on = (retry_on,)
    if not isinstance(retry_on, Collection):
        if not callable(retry_on):
            raise ValueError(
                "retry_on is a collection of error categories and exception types, or a predicate, "
                f"not {retry_on!r}."
            )
        return retry_on
    types = tuple(item for item in retry_on if isinstance(item, type))
    for kind in types:
        if not issubclass(kind, Exception):
            raise ValueError(f"retry_on: {kind.__name__} is no Exception; cancellation is never retried.")
    wanted = categories("retry_on", (item for item in retry_on if not isinstance(item, type)))
    return lambda error: isinstance(error, types) or category_of(error) in wanted


def passes(error: Exception) -> bool:
    """Whether it is of what passes by itself."""
    return category_of(error) in RETRIED


def categories(setting: str, names: Iterable[Category | str]) -> frozenset[Category]:
    """Error categories by their names; a name alone is one of them."""
    try:
        return frozenset(Category(name) for name in ((names,) if isinstance(names, str) else names))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{setting}: {error}; error categories are {', '.join(Category)}.") from error
