"""The numbers of a pool add up at every moment."""

from streamer import Pool
from streamer.pool import PoolStats


def add_up(pool: Pool) -> PoolStats:
    stats = pool.stats
    ended = stats.succeeded + stats.failed + stats.timed_out + stats.cancelled + stats.skipped
    assert ended == stats.finished
    assert stats.submitted == ended + pool.queued + pool.active
    return stats
