"""A broker inside this process, for a first try and for quick tests: librdkafka's mock cluster."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from streamer.errors import SettingsError

PARTITIONS = 4
"""How many partitions a topic gets; the mock offers no way to ask for another number."""


class EmbeddedBroker:
    """One broker that can produce, consume, commit offsets with metadata, and pretend to do transactions.

    It listens on ``bootstrap_servers`` (127.0.0.1, a free port) from construction until ``close()``; other
    processes of this machine can use it too.

    Its limits, most of which it keeps to itself:

    * a partition keeps about 5 MB or 100,000 record batches, then silently drops the oldest, consumed or not;
    * everything is in memory and gone at ``close()``, offsets included;
    * ``CreateTopics`` fails: topics appear on first use, with four partitions, and have no settings;
    * a group has one member: it waits 3 s for others, whose joining then fails;
    * transactions isolate nothing and fence nobody: what was aborted is read like the rest.
    """

    def __init__(self) -> None:
        try:
            from confluent_kafka import Producer
        except ImportError as error:
            raise SettingsError(
                'the embedded broker needs confluent-kafka: pip install "streamer[embedded]"'
            ) from error
        # The mock cluster lives as long as the client that configures it; that client sends nothing.
        self._client: Any = Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._client.list_topics(timeout=10).brokers.values()
        self.bootstrap_servers = f"{broker.host}:{broker.port}"

    def close(self) -> None:
        """Stop listening and forget everything; again is harmless."""
        self._client = None  # librdkafka ends it when the last reference goes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
