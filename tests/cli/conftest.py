"""What tests of commands share: the session's broker at hand, and a worker's module of one's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Broker
from tests.cli.shell import Done, streamer
from tests.cli.site import Site


@pytest.fixture
def site(broker: Broker, topic_name: str, tmp_path: Path) -> Site:
    return Site(broker, topic_name, tmp_path)


@pytest.fixture
def on(broker: Broker) -> Callable[..., Done]:
    """Runs a command on the session's broker."""

    def run(*arguments: str, **more) -> Done:
        return streamer(*arguments, "--bootstrap-servers", broker.bootstrap_servers, **more)

    return run
