"""The consumer and the producers of a worker, as they have to be set."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streamer.kafka import adapter, tolerant
from streamer.kafka.connection import Connection
from streamer.kafka.outlet import BATCH_BYTES
from streamer.kafka.sticky import assignors
from streamer.kafka.topics import DEAD_LETTER_BYTES
from streamer.kafka.transactional import WITHIN
from streamer.settings import Settings

FOREVER_MS = 24 * 3_600_000
"""aiokafka's own poll watchdog counts a pause of ours as a hang."""
METADATA_MS = 60_000
"""So soon are partitions seen that were added to a topic."""


class Clients:
    """Makes them, with one client id and one set of settings."""

    def __init__(self, connection: Connection, settings: Settings, group: str, client_id: str) -> None:
        self.connection = connection
        self.settings = settings
        self.group = group
        self.client_id = client_id

    def consumer(self) -> AIOKafkaConsumer:
        """A member of the group, which keeps what it has where it can."""
        tolerant.install()
        session = int(self.settings.session_timeout * 1000)
        consumer = AIOKafkaConsumer(
            **self.connection.client(self.client_id),
            group_id=self.group,
            group_instance_id=self.settings.group_instance_id,
            partition_assignment_strategy=assignors(lambda: adapter.generation(consumer)),
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            session_timeout_ms=session,
            heartbeat_interval_ms=session // 4,
            rebalance_timeout_ms=int(self.settings.revoke_timeout * 1000) + 30_000,
            max_poll_interval_ms=FOREVER_MS,
            fetch_max_wait_ms=100,
            metadata_max_age_ms=METADATA_MS,
        )
        return consumer

    def reader(self) -> AIOKafkaConsumer:
        """A consumer of no group."""
        return AIOKafkaConsumer(
            **self.connection.client(self.client_id), enable_auto_commit=False, fetch_max_wait_ms=100
        )

    def listener(self) -> AIOKafkaConsumer:
        """A consumer of no group that waits for what comes seldom."""
        return AIOKafkaConsumer(
            **self.connection.client(self.client_id),
            enable_auto_commit=False,
            isolation_level="read_committed",
        )

    def producer(self, transactional_id: str | None = None) -> AIOKafkaProducer:
        """An idempotent producer, or one for transactions."""
        once = {"transactional_id": transactional_id, "transaction_timeout_ms": int(WITHIN * 1000)}
        return AIOKafkaProducer(
            **self.connection.client(self.client_id),
            **(once if transactional_id is not None else {"enable_idempotence": True}),
            acks="all",
            max_batch_size=BATCH_BYTES,
            max_request_size=DEAD_LETTER_BYTES,
            metadata_max_age_ms=METADATA_MS,
        )
