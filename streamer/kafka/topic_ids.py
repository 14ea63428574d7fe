"""The ids of a cluster and of its topics: a request that aiokafka does not have."""

from __future__ import annotations

from io import BytesIO
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

# mypy: disable-error-code="misc,no-untyped-call"


class Uuid:
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))

    @classmethod
    def repr(cls, value: UUID) -> str:
        return str(value)


NAME = CompactString("utf-8")
NUMBERS = CompactArray(Int32)


class MetadataResponse(Response):
    """Metadata v12: the first answer with topic ids that can also be asked by name is v10."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32), ("host", NAME), ("port", Int32), ("rack", NAME), ("tags", TaggedFields)
            ),
        ),
        ("cluster_id", NAME),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", NAME),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", NUMBERS),
                        ("isr", NUMBERS),
                        ("offline", NUMBERS),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class MetadataRequestV12(RequestStruct):
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Uuid), ("name", NAME), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicIds(Request[MetadataRequestV12]):
    """Asks for topics by name, without creating them."""

    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self.topics = topics

    def build(self, request_struct_class: type[MetadataRequestV12]) -> MetadataRequestV12:
        return request_struct_class([(UUID(int=0), topic, {}) for topic in self.topics], False, False, {})


async def identities(client: AIOKafkaClient, topics: list[str]) -> tuple[str, dict[str, str]]:
    """The cluster's id, and the topics' ids by name; empty from brokers that are too old to know them."""
    try:
        answer = await client.send(client.get_random_node(), TopicIds(topics))
    except (IncompatibleBrokerVersion, KafkaError):
        return "", {}
    ids = {name: str(topic_id) for error, name, topic_id, *_ in answer.topics if not error}
    return answer.cluster_id or "", ids
