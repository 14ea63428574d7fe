"""What is to run where: topologies with their settings and their way to Kafka, judged before anything starts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from streamer.errors import SettingsError
from streamer.kafka.claims import Store, open_store
from streamer.kafka.connection import Connection
from streamer.settings import ENVIRONMENT, Resolved, Settings, resolve, steps_in_parallel
from streamer.topology import Topology

TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
FOR_ONE = ("input", "output", "group")
REACH = tuple(field.name for field in msgspec.structs.fields(Connection))


class Plan(NamedTuple):
    """One topology, how it is set, and how it reaches Kafka."""

    topology: Topology
    resolved: Resolved
    connection: Connection

    @property
    def settings(self) -> Settings:
        return self.resolved.settings

    @property
    def input(self) -> str:
        return self.settings.input or self.topology.input

    @property
    def output(self) -> str:
        return self.settings.output or self.topology.output

    @property
    def group(self) -> str:
        return self.settings.group or self.topology.name


def plan(topologies: list[Topology], flags: Mapping[str, Any]) -> list[Plan]:
    """Settle the settings of topologies that will run in one process."""
    steps_in_parallel()  # a wrong word is said before anything starts
    plans = []
    for topology in topologies:
        resolved = resolve(flags, topology.settings)
        plans.append(Plan(topology, resolved, connection(resolved.settings)))
    for each in plans:
        for name in ("input", "output"):
            if TOPIC.fullmatch(getattr(each, name)) is None:
                raise SettingsError(
                    f"{name} {getattr(each, name)!r} is no topic name; letters, digits, '.', '_' and '-', at most 249."
                )
        if each.input == each.output:
            raise SettingsError(
                f"Topology {each.topology.name!r}: input and output are the same topic, {each.input!r}."
            )
        if len(plans) > 1:
            refuse_shared(each, [plan.topology.name for plan in plans])
    groups: dict[str, str] = {}
    for each in plans:
        other = groups.setdefault(each.group, each.topology.name)
        if other != each.topology.name:
            raise SettingsError(
                f"Topologies {other!r} and {each.topology.name!r} have one group, {each.group!r}. Each needs its own."
            )
    return plans


def refuse_shared(each: Plan, names: list[str]) -> None:
    """What is said once holds for one topology."""
    for name in FOR_ONE:
        said = {"flag": f"--{name}", "environment": ENVIRONMENT[name]}.get(each.resolved.origins[name])
        if said is not None:
            raise SettingsError(
                f"{said} is for one topology, but the module has {len(names)}: {', '.join(names)}. "
                "Choose one with MODULE:ATTRIBUTE."
            )


def connection(settings: Settings) -> Connection:
    """How these settings reach Kafka."""
    return Connection(**{name: getattr(settings, name) for name in REACH})


def claims(claim_check: str | None) -> tuple[Store | None, int]:
    """The store that a command without a topology uses, if any, and above which size values go there."""
    names = ("claim_check", "claim_check_bytes")
    relevant = {ENVIRONMENT[name]: os.environ.get(ENVIRONMENT[name], "") for name in names}
    settings = resolve({"claim_check": claim_check}, {}, relevant).settings
    store = open_store(settings.claim_check) if settings.claim_check is not None else None
    return store, settings.claim_check_bytes


def reach(servers: str | None) -> Connection:
    """How a command without a topology reaches Kafka; settings that are none of its business are not judged."""
    relevant = {ENVIRONMENT[name]: os.environ.get(ENVIRONMENT[name], "") for name in REACH}
    return connection(resolve({"bootstrap_servers": servers}, {}, relevant).settings)
