"""What the brokers that we start have in common: settings, a port, the wait until they answer."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable

VERSION = "4.1.0"

SETTINGS = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",  # a killed one can't register anew before this has passed
    "controller.listener.names": "CONTROLLER",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "num.partitions": "4",  # of topics that appear on first use, as in the embedded broker
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}

API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)  # size, key, version, correlation id, no client id


class BrokerUnavailable(Exception):
    """This kind of broker can't be had on this machine; the sentence says why."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_it_answers(address: str, is_alive: Callable[[], bool], within: float = 90) -> None:
    """Return once ``address`` answers a request: a connection alone may be Docker's proxy."""
    host, port = address.rsplit(":", 1)
    give_up = time.monotonic() + within
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 2) as connection:
            connection.sendall(API_VERSIONS)
            if len(connection.recv(4)) == 4:
                return
        if not is_alive():
            raise BrokerUnavailable(f"the broker at {address} ended while it was starting")
        time.sleep(0.05)
    raise BrokerUnavailable(f"the broker at {address} did not answer within {within:.0f} s")
