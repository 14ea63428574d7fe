"""The embedded broker."""

import socket
import sys

import pytest

from streamer.errors import SettingsError
from streamer.kafka.embedded import EmbeddedBroker


def connect(broker: EmbeddedBroker) -> None:
    host, port = broker.bootstrap_servers.split(":")
    socket.create_connection((host, int(port)), timeout=5).close()


def test_it_listens_until_it_is_closed() -> None:
    with EmbeddedBroker() as broker:
        connect(broker)
    with pytest.raises(OSError, match="refused"):
        connect(broker)
    broker.close()


def test_two_are_two() -> None:
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.bootstrap_servers != other.bootstrap_servers


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(SettingsError, match=r'pip install "streamer\[embedded\]"'):
        EmbeddedBroker()


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with EmbeddedBroker() as broker:
        connect(broker)
    assert capfd.readouterr() == ("", "")
