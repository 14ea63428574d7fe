"""A topology as a stream: the user's Observable from tasks to answers, and the engine's way through it."""

from streamer.streams.intake import intake
from streamer.streams.stream import Stream

__all__ = ["Stream", "intake"]
