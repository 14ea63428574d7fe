"""Tells whoever is on call of dead letters: of the first at once, then of all in a line a minute at most."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

QUIET_FOR = 60.0


class Notices:
    """Counts dead letters by reason.

    Invariant: what was counted is said once: at once if nothing was said for ``QUIET_FOR`` seconds, else as soon
    as they have passed, or at ``close``.
    """

    def __init__(self, topic: str, warn: Callable[[str], None]) -> None:
        self.topic = topic
        self.warn = warn
        self.counts: Counter[str] = Counter()
        self.quiet: asyncio.TimerHandle | None = None

    def count(self, reason: str) -> None:
        """One more."""
        self.counts[reason] += 1
        if self.quiet is None:
            self.say()

    def say(self) -> None:
        """Say what came since the last time, and be quiet for a while."""
        self.quiet = None
        if not self.counts:
            return
        total = self.counts.total()
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.counts.most_common())
        self.counts.clear()
        self.quiet = asyncio.get_running_loop().call_later(QUIET_FOR, self.say)
        self.warn(
            f"{total} new dead letter{'s'[: total != 1]} in {self.topic} ({reasons}). "
            f"To see them: streamer dead-letters list --topic {self.topic}"
        )

    def close(self) -> None:
        """Say what is left to be said."""
        if self.quiet is not None:
            self.quiet.cancel()
        self.say()
        if self.quiet is not None:
            self.quiet.cancel()
