"""How long to wait before the next attempt: pure, seeded by whoever asks."""

from __future__ import annotations

from random import Random

from streamer.tasks import Retry


def delay(policy: Retry, attempt: int, previous: float, random: Random) -> float:
    """Seconds to wait after attempt number ``attempt`` (from 1) failed; ``previous`` is the wait before it.

    fixed d; linear d·a; exponential d·mᵃ⁻¹; jitter the same, times 1 ± jitter; decorrelated first d, then
    anything between d and three times the wait before. Each is capped by ``max_delay``.
    """
    first = policy.initial_delay
    if policy.backoff == "fixed":
        wait = first
    elif policy.backoff == "linear":
        wait = first * attempt
    elif policy.backoff == "decorrelated":
        wait = first if attempt == 1 else random.uniform(first, max(first, 3 * previous))
    else:
        # the exponent is bounded: beyond it every cap has long been reached, and a float would overflow
        wait = first * policy.multiplier ** min(attempt - 1, 100)
        if policy.backoff == "jitter":
            wait *= 1 + random.uniform(-policy.jitter, policy.jitter)
    return min(wait, policy.max_delay)
