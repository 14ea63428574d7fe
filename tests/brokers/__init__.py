"""Which Kafka broker the tests run on, and how it is started.

In this order: the one at ``KAFKA_BOOTSTRAP_SERVERS``; Docker; a JVM of this machine; the embedded one.
``STREAMER_TEST_BROKER`` insists on ``environment``, ``docker``, ``jvm``, ``embedded``, or any ``real`` one.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol, TypeVar

from streamer.kafka.embedded import EmbeddedBroker
from tests.brokers.docker import DockerBroker
from tests.brokers.jvm import JvmBroker
from tests.brokers.server import BrokerUnavailable

HOW_TO_GET_A_REAL_BROKER = "start Docker, or install java 17 and maven, or set KAFKA_BOOTSTRAP_SERVERS"


class Broker(Protocol):
    """Something to connect to."""

    kind: str
    is_real: bool
    bootstrap_servers: str

    def close(self) -> None: ...


class OwnBroker(Broker, Protocol):
    """A real one that we started: its address and data survive ``stop()`` or ``kill()`` and ``start()``.

    Who connects to ``behind_proxy`` is sent to the address of the proxy that it was started with.
    """

    behind_proxy: str

    def pause(self) -> None: ...
    def unpause(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...
    def logs(self) -> str: ...


class GivenBroker:
    """The one that the environment names: somebody else's, so it is only used."""

    kind = "environment"
    is_real = True

    def __init__(self) -> None:
        try:
            self.bootstrap_servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
        except KeyError:
            raise BrokerUnavailable("KAFKA_BOOTSTRAP_SERVERS is not set") from None

    def close(self) -> None:
        """It stays."""


class InProcessBroker(EmbeddedBroker):
    kind = "embedded"
    is_real = False


OWN: dict[str, Callable[..., OwnBroker]] = {"docker": DockerBroker, "jvm": JvmBroker}
REAL: dict[str, Callable[[], Broker]] = {"environment": GivenBroker, **OWN}
ALL: dict[str, Callable[[], Broker]] = {**REAL, "embedded": InProcessBroker}


def wish() -> str:
    """What ``STREAMER_TEST_BROKER`` asks for, or nothing."""
    asked = os.environ.get("STREAMER_TEST_BROKER", "")
    if asked not in {"", "real", *ALL}:
        raise ValueError(f"STREAMER_TEST_BROKER is {asked!r}; it may be real, {', '.join(ALL)}")
    return asked


def start_broker() -> Broker:
    """The first that can be had of those that are asked for."""
    asked = wish()
    return _first({asked: ALL[asked]} if asked in ALL else REAL if asked == "real" else ALL)


def start_own_broker(
    settings: Mapping[str, str] = MappingProxyType({}), proxy: str | None = None
) -> OwnBroker:
    """A real one that its user may pause, stop and kill; ``settings`` are the broker's own."""
    asked = wish()
    if asked == "embedded":
        raise BrokerUnavailable("STREAMER_TEST_BROKER asks for the embedded broker")
    kinds = {asked: OWN[asked]} if asked in OWN else OWN
    return _first({kind: partial(start, settings, proxy) for kind, start in kinds.items()})


B = TypeVar("B")


def _first(candidates: dict[str, Callable[[], B]]) -> B:
    reasons = []
    for start in candidates.values():
        try:
            return start()
        except BrokerUnavailable as error:
            reasons.append(str(error))
    raise BrokerUnavailable("; ".join(reasons))
