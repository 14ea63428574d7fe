"""What every test may ask for: a broker, one of its own, and names that nobody else uses."""

import asyncio
import functools
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from streamer.testing.clock import JumpingLoop
from tests.brokers import HOW_TO_GET_A_REAL_BROKER, Broker, OwnBroker, start_broker, start_own_broker, wish
from tests.brokers.docker import require_docker
from tests.brokers.server import BrokerUnavailable

VIRTUAL = tuple(Path(__file__).parent / name for name in ("operators", "engine", "pool"))
REAL_SECONDS = 0.2
_loops: list[JumpingLoop] = []


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many processes as cores, at most four: each starts a broker. A broker that is there already is not shared."""
    return 1 if "KAFKA_BOOTSTRAP_SERVERS" in os.environ else min(4, os.cpu_count() or 1)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests of operators, engine and pool, and those marked ``virtual_time``, run on a clock that jumps."""
    virtual = item.get_closest_marker("virtual_time") or any(d in item.path.parents for d in VIRTUAL)
    return {"virtual": _jumping_loop} if virtual else {"real": asyncio.new_event_loop}


def _jumping_loop() -> JumpingLoop:
    _loops.append(JumpingLoop())
    return _loops[-1]


@pytest.fixture(autouse=True)
def _no_real_sleep() -> Iterator[None]:
    """A test in virtual time that waits for real fails."""
    yield
    waited = sum(loop.waited for loop in _loops)
    _loops.clear()
    assert waited < REAL_SECONDS, f"waited for {waited:.2f} real seconds"


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

        def start(*, proxy: str | None = None, **settings: str) -> OwnBroker:
            try:
                started = start_own_broker(
                    {name.replace("_", "."): value for name, value in settings.items()}, proxy
                )
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
