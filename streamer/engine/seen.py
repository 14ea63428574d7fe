"""Values as templates see them: Python's own objects, of which an expression reaches the data alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any

SCALARS = (str, int, float, bytes, NoneType)


class Seen:
    """A value as templates see it: to be read, never to be changed or called."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    @staticmethod
    def of(value: Any) -> Any:
        if isinstance(value, SCALARS):
            return value
        if isinstance(value, Mapping):
            return SeenObject(value)
        return SeenArray(value) if isinstance(value, list | tuple) else Seen(value)


class SeenObject(Seen, Mapping[str, Any]):
    """An object; a field is found before anything of the same name."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        return Seen.of(self._value[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)

    def __len__(self) -> int:
        return len(self._value)


class SeenArray(Seen, Sequence[Any]):
    """An array."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> Any:
        return Seen.of(self._value[index])

    def __len__(self) -> int:
        return len(self._value)


def plain(value: Any) -> Any:
    """What a template found, as the value that it was."""
    if isinstance(value, Seen):
        return value._value  # noqa: SLF001 - its own, in this file
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, SCALARS):
        return value
    raise TypeError(f"{type(value).__name__} is no value")
