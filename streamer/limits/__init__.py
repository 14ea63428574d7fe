"""Limits: named objects, shared by all who name them."""

from streamer.limits.concurrency import Slots

__all__ = ["Slots"]
