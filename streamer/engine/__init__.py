"""The engine: a task becomes a Single, a Single becomes a Result. No Kafka here."""

from streamer.engine.engine import Engine, default_engine, run

__all__ = ["Engine", "default_engine", "run"]
