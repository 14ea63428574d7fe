"""What composes: one operator per file, each written once, on coroutine functions."""

from streamer.operators.concurrent_map import concurrent_map
from streamer.operators.consensus import consensus
from streamer.operators.fallback import fallback
from streamer.operators.limited import limited
from streamer.operators.map import map
from streamer.operators.parallel import parallel
from streamer.operators.race import race
from streamer.operators.retry import retry
from streamer.operators.sequence import sequence
from streamer.operators.timeout import timeout

__all__ = [
    "concurrent_map",
    "consensus",
    "fallback",
    "limited",
    "map",
    "parallel",
    "race",
    "retry",
    "sequence",
    "timeout",
]
