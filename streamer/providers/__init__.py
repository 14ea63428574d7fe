"""Providers: what answers, one wire format per file."""

from streamer.providers.protocol import Chunk, Provider, Request, Response
from streamer.providers.registry import Registry, Target, default_registry, provider

__all__ = ["Chunk", "Provider", "Registry", "Request", "Response", "Target", "default_registry", "provider"]
