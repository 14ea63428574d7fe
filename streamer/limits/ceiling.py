"""How many model calls a process makes at once, whoever makes them and of whichever provider."""

from __future__ import annotations

import os
from functools import cache

from streamer.errors import SettingsError
from streamer.limits.concurrency import Limit

NAME = "MAX_CONCURRENT_LLM_CALLS"


def ceiling() -> Limit | None:
    """The limit that the environment sets; a SettingsError names what is wrong with it."""
    said = os.environ.get(NAME, "").strip()
    return made(said) if said else None


@cache
def made(said: str) -> Limit:
    """One for all who ask."""
    if not (said.isascii() and said.isdigit() and len(said) <= 9 and int(said) >= 1):
        raise SettingsError(f"{NAME} is a whole number of at least 1, not {said!r}.")
    return Limit(int(said), NAME)
