"""Slow, flaky, rate-limited, paid model calls as a Kafka stream."""

from streamer.chunks import Chunk
from streamer.engine import Engine, run
from streamer.functions import function, in_process, in_thread, llm
from streamer.limits import Limit
from streamer.observable import single
from streamer.operators import (
    concurrent_map,
    consensus,
    fallback,
    limited,
    map,
    parallel,
    race,
    retry,
    sequence,
    timeout,
)
from streamer.pool import Pool
from streamer.progress import Progress
from streamer.providers.batched import batched
from streamer.results import Result, Status
from streamer.single import Single
from streamer.tasks import Message, Retry, Timeouts
from streamer.telemetry import Totals, aggregate
from streamer.topology import Topology
from streamer.version import __version__

__all__ = [
    "Chunk",
    "Engine",
    "Limit",
    "Message",
    "Pool",
    "Progress",
    "Result",
    "Retry",
    "Single",
    "Status",
    "Timeouts",
    "Topology",
    "Totals",
    "__version__",
    "aggregate",
    "batched",
    "concurrent_map",
    "consensus",
    "fallback",
    "function",
    "in_process",
    "in_thread",
    "limited",
    "llm",
    "map",
    "parallel",
    "race",
    "retry",
    "run",
    "sequence",
    "single",
    "timeout",
]
