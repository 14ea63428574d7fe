"""Limits: named objects, shared by all who name them."""

from streamer.limits.concurrency import Slots
from streamer.limits.extra import ExtraCalls
from streamer.limits.lending import RunSlot

__all__ = ["ExtraCalls", "RunSlot", "Slots"]
