"""What every test may ask for: a broker, one of its own, and names that nobody else uses."""

import functools
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NoReturn

import pytest

from tests.brokers import HOW_TO_GET_A_REAL_BROKER, Broker, OwnBroker, start_broker, start_own_broker, wish
from tests.brokers.docker import require_docker
from tests.brokers.server import BrokerUnavailable


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """The session's broker: ``bootstrap_servers``, ``kind``, ``is_real``. Leave it as you found it."""
    try:
        started = start_broker()
    except BrokerUnavailable as error:
        pytest.fail(f"no broker: {error}", pytrace=False)
    yield started
    started.close()


@pytest.fixture
def private_broker() -> Iterator[Callable[..., OwnBroker]]:
    """Starts real brokers for this test alone, which may ``pause``, ``kill`` and ``start`` them."""
    with ExitStack() as at_the_end:

        def start(**settings: str) -> OwnBroker:
            try:
                started = start_own_broker({name.replace("_", "."): value for name, value in settings.items()})
            except BrokerUnavailable as error:
                _do_without(str(error), fail=wish() in {"real", "docker", "jvm"})
            at_the_end.callback(started.close)
            return started

        yield start


@pytest.fixture
def unique_name(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes names for topics, groups and ids: what it is, the test's name, and a few random letters."""

    def name(prefix: str = "topic") -> str:
        test = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:80]
        return f"{prefix}-{test}-{uuid.uuid4().hex[:8]}"

    return name


@pytest.fixture
def topic_name(unique_name: Callable[[str], str]) -> str:
    return unique_name("topic")


@pytest.fixture(autouse=True)
def _what_the_markers_need(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("docker") and (reason := _why_no_docker()):
        _do_without(reason, fail=wish() == "docker")
    if request.node.get_closest_marker("kafka") and "broker" in request.fixturenames:
        chosen: Broker = request.getfixturevalue("broker")
        if not chosen.is_real:
            _do_without("only the embedded broker is there", fail=False)


@functools.cache
def _why_no_docker() -> str:
    try:
        require_docker()
    except BrokerUnavailable as error:
        return str(error)
    return ""


def _do_without(reason: str, *, fail: bool) -> NoReturn:
    sentence = f"needs a real broker ({reason}): {HOW_TO_GET_A_REAL_BROKER}"
    if fail:
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
