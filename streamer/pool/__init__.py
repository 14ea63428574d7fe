"""Workers that a program submits tasks to, one at a time."""

from streamer.pool.pool import Pool
from streamer.pool.stats import PoolStats

__all__ = ["Pool", "PoolStats"]
