"""What results tell of how they came about: of one, and of many together."""

from streamer.telemetry.totals import Totals, aggregate

__all__ = ["Totals", "aggregate"]
