"""How a worker is set, and from where."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamer.errors import SettingsError
from streamer.settings import ENVIRONMENT, NAMES, Settings, resolve

TEXT = ("flag", "environment", "topology")
SAID: dict[str, tuple[Any, str, Any]] = {
    "bootstrap_servers": ("a:1", "b:2", "c:3"),
    "security_protocol": ("SSL", "SASL_SSL", "SASL_PLAINTEXT"),
    "sasl_mechanism": ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    "sasl_username": TEXT,
    "sasl_password": TEXT,
    "ssl_cafile": TEXT,
    "ssl_certfile": TEXT,
    "ssl_keyfile": TEXT,
    "ssl_password": TEXT,
    "input": TEXT,
    "output": TEXT,
    "group": TEXT,
    "group_instance_id": TEXT,
    "concurrency": (5, "6", 7),
    "outstanding": (5, "6", 7),
    "delivery": ("exactly-once", "at-least-once", "exactly-once"),
    "ordering": ("key", "key", "key"),
    "drain_timeout": (0.0, "1.5", 2.5),
    "revoke_timeout": (0.0, "1.5", 2.5),
    "park_after": (0.0, "1.5", 2.5),
    "session_timeout": (6.0, "7.5", 8.5),
    "max_message_bytes": (5, "6", 7),
    "partitions": (5, "6", 7),
    "accept_loss": (True, "true", True),
    "dead_letter_failed": (True, "true", True),
    "ready_file": TEXT,
    "claim_check": TEXT,
    "claim_check_bytes": (5, "6", 7),
    "status_host": TEXT,
    "status_port": (5, "6", 7),
    "stuck_after": (5.0, "6.5", 7.5),
    "workflow_timeout": (5.0, "6.5", 7.5),
}
"""Of each setting what a flag, the environment (always text) and the topology say of it here."""

WRONG: dict[str, tuple[str, str]] = {
    "concurrency": ("0", "`int` >= 1"),
    "outstanding": ("many", "`int"),
    "delivery": ("at-most-once", "at-least-once or exactly-once"),
    "ordering": ("random", "none or key"),
    "drain_timeout": ("-1", "`float` >= 0"),
    "revoke_timeout": ("1e9", "`float` <= 3600"),
    "park_after": ("-1", "`float` >= 0"),
    "session_timeout": ("0.5", "`float` >= 1"),
    "max_message_bytes": ("-5", "`int` >= 1"),
    "partitions": ("0", "`int` >= 1"),
    "claim_check_bytes": ("0", "`int` >= 1"),
    "accept_loss": ("perhaps", "`bool`"),
    "dead_letter_failed": ("perhaps", "`bool`"),
    "status_port": ("70000", "`int` <= 65535"),
    "stuck_after": ("0", "`float` >= 1"),
    "workflow_timeout": ("-1", "`float` >= 0"),
}
"""Of each setting that is no text what it can't be, and a part of what is said of it."""


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def found(name: str, flags: Any, environment: Any, topology: Any) -> tuple[Any, str]:
    """The value of a setting, and where it came from."""
    resolved = resolve(flags, topology, environment)
    return getattr(resolved.settings, name), resolved.origins[name]


def test_a_flag_comes_first(name: str) -> None:
    """Then the environment, then the topology, then the default."""
    of_flag, of_environment, of_topology = SAID[name]
    flags, environment, topology = {name: of_flag}, {ENVIRONMENT[name]: of_environment}, {name: of_topology}
    read = msgspec.convert(of_environment, type(of_topology), strict=False)
    assert found(name, flags, environment, topology) == (of_flag, "flag")
    assert found(name, {}, environment, topology) == (read, "environment")
    assert found(name, {}, {}, topology) == (of_topology, "topology")
    assert found(name, {}, {}, {}) == (getattr(Settings(), name), "default")


def test_every_setting_has_its_name_in_the_environment(name: str) -> None:
    """Its own, in capitals, with a prefix."""
    assert ENVIRONMENT[name] == f"STREAMER_{name.upper()}"


@pytest.mark.parametrize("nothing", ["", " ", "\t\n"])
def test_nothing_in_the_environment(name: str, nothing: str) -> None:
    """An empty variable says nothing."""
    assert found(name, {}, {ENVIRONMENT[name]: nothing}, {})[1] == "default"


def test_none_is_no_flag(name: str) -> None:
    """What the command line was not given is passed on as None."""
    assert found(name, {name: None}, {}, {name: None})[1] == "default"


@pytest.mark.parametrize("place", ["flag", "environment", "topology"])
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value(name: str, place: str) -> None:
    """It is named with the place it came from, what it may be and what it is."""
    value, expected = WRONG[name]
    wrong = {name: value}
    with pytest.raises(SettingsError) as caught:
        resolve(
            wrong if place == "flag" else {},
            wrong if place == "topology" else {},
            {ENVIRONMENT[name]: value} if place == "environment" else {},
        )
    where = {
        "flag": f"--{name.replace('_', '-')}",
        "environment": ENVIRONMENT[name],
        "topology": "the topology",
    }
    said = str(caught.value)
    assert where[place] in said
    assert expected in said
    assert repr(value) in said


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("name", ["drain_timeout", "revoke_timeout", "park_after", "session_timeout"])
def test_times_are_finite(name: str, value: str) -> None:
    """Text can say NaN, a time can't be it."""
    for flags in ({name: float(value)}, {name: value}):
        with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')}"):
            resolve(flags, {}, {})


def test_a_wrong_value_that_nobody_takes() -> None:
    """Only what holds is judged."""
    assert resolve({"concurrency": 5}, {"concurrency": 0}, {}).settings.concurrency == 5


@pytest.mark.parametrize(
    ("said", "limit"),
    [({}, 2_000), ({"concurrency": 500}, 2_000), ({"concurrency": 501}, 2_004), ({"outstanding": 5}, 5)],
)
def test_how_much_is_outstanding(said: dict[str, int], limit: int) -> None:
    """The larger of 2,000 and four times the concurrency, unless it is set."""
    assert Settings(**said).outstanding_limit == limit


def test_a_port_of_off_serves_no_status() -> None:
    assert resolve({}, {}, {"STREAMER_STATUS_PORT": "off"}).settings.status_port == -1


@pytest.mark.parametrize(
    ("ours", "topology", "expected"),
    [
        ({}, {}, (60.0, "CHAIN_TIMEOUT_SECONDS")),
        ({}, {"workflow_timeout": 30.0}, (30.0, "topology")),
        ({"STREAMER_WORKFLOW_TIMEOUT": "20"}, {"workflow_timeout": 30.0}, (20.0, "environment")),
    ],
)
def test_chain_timeout_seconds_holds_for_workflows_where_nothing_else_is_said(
    ours: dict[str, str], topology: dict[str, float], expected: tuple[float, str]
) -> None:
    """Another system's name for it."""
    environment = {"CHAIN_TIMEOUT_SECONDS": "60", **ours}
    assert found("workflow_timeout", {}, environment, topology) == expected


@pytest.mark.parametrize("value", ["-1", "nan", "soon"])
def test_a_wrong_chain_timeout_is_named(value: str) -> None:
    with pytest.raises(SettingsError, match=r"CHAIN_TIMEOUT_SECONDS: Expected `float"):
        resolve({}, {}, {"CHAIN_TIMEOUT_SECONDS": value})


def test_a_chain_timeout_of_0_is_no_limit() -> None:
    assert resolve({}, {}, {"CHAIN_TIMEOUT_SECONDS": "0"}).settings.workflow_timeout == 0
