"""What an engine may be told: wrong settings are said when it is made."""

from __future__ import annotations

from math import isfinite
from typing import Any

from streamer.errors import SettingsError
from streamer.operators.hedging import Hedging


def judged_hedging(hedging: Any, what: str) -> Hedging | None:
    """What races know and may spend, if it is said."""
    if hedging is not None and not isinstance(hedging, Hedging):
        raise SettingsError(f"{what}: hedging is a streamer.operators.hedging.Hedging, not {hedging!r}.")
    return hedging


def seconds(name: str, value: Any, whose: str = "Engine") -> float:
    """A number of seconds, which may be 0."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not isfinite(value) or value < 0:
        raise SettingsError(f"{whose}: {name} is a number of seconds of at least 0, not {value!r}.")
    return value  # type: ignore[no-any-return]


def judged_instant(deadline: Any) -> None:
    """Refuse what is no instant."""
    if isinstance(deadline, bool) or not isinstance(deadline, int | float) or not isfinite(deadline):
        raise ValueError(f"Engine: deadline is in seconds since the epoch, not {deadline!r}.")
