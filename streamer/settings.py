"""How a worker is set: flag, then environment, then the topology, then the default; and where each came from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from streamer.errors import SettingsError

Positive = Annotated[int, Meta(ge=1)]


class Settings(Struct, frozen=True, kw_only=True):
    """All settings of a worker and their defaults. Times are seconds, sizes bytes."""

    bootstrap_servers: str = "localhost:9092"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: str | None = None
    input: str | None = None
    output: str | None = None
    group: str | None = None
    group_instance_id: str | None = None
    concurrency: Positive = 100
    outstanding: Positive | None = None
    delivery: Literal["at-least-once", "exactly-once"] = "at-least-once"
    ordering: Literal["none", "key"] = "none"
    drain_timeout: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    revoke_timeout: Annotated[float, Meta(ge=0, le=3_600)] = 30.0
    park_after: Annotated[float, Meta(ge=0, le=86_400)] = 5.0
    session_timeout: Annotated[float, Meta(ge=1, le=3_600)] = 10.0
    max_message_bytes: Positive = 1_048_576
    partitions: Positive | None = None
    accept_loss: bool = False
    dead_letter_failed: bool = False
    ready_file: str | None = None
    claim_check: str | None = None
    claim_check_bytes: Positive = 900_000
    status_host: str = "127.0.0.1"
    status_port: Annotated[int, Meta(ge=-1, le=65_535)] = 0
    stuck_after: Annotated[float, Meta(ge=1)] = 600.0
    workflow_timeout: Annotated[float, Meta(ge=0, le=31_536_000)] = 300.0
    """The whole run of a workflow that says nothing of it; 0 is no limit."""

    @property
    def outstanding_limit(self) -> int:
        """Records between the poll and the acknowledged result: the larger of 2,000 and four times concurrency."""
        return self.outstanding if self.outstanding is not None else max(2_000, 4 * self.concurrency)


NAMES = tuple(field.name for field in msgspec.structs.fields(Settings))
PARALLEL_STEPS = "ENABLE_PARALLEL_STEPS"
ENVIRONMENT = {name: f"STREAMER_{name.upper()}" for name in NAMES}
FORMER = {"workflow_timeout": "CHAIN_TIMEOUT_SECONDS"}
"""Names of another system's that hold where neither we nor the topology are told anything."""

OPTIONS = ("STREAMER_PROCESSES", "STREAMER_NO_CREATE")
"""Of the command line alone."""


def misspelt(environment: Iterable[str] = os.environ) -> list[str]:
    """A sentence for each variable that is none of ours, and almost is one."""
    known = (*ENVIRONMENT.values(), *OPTIONS)
    sentences = []
    for name in sorted(environment):
        if name.startswith("STREAMER_") and name not in known:
            sentences += [
                f"{name} in the environment is no setting; did you mean {close}?"
                for close in get_close_matches(name, known, 1, 0.9)
            ]
    return sentences


def steps_in_parallel(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether what can run side by side does: unless ``ENABLE_PARALLEL_STEPS`` is ``false``."""
    said = environment.get(PARALLEL_STEPS)
    if said is None:
        return True
    word = said.strip().lower()
    if word not in ("", "true", "false"):
        raise SettingsError(f"{PARALLEL_STEPS}: Expected true or false, not {said!r}.")
    return word != "false"


class Resolved(Struct, frozen=True):
    """Settings, and of each where it came from.

    That is ``flag``, ``environment``, ``topology``, ``default``, or another system's name for it.
    """

    settings: Settings
    origins: dict[str, str]


def resolve(
    flags: Mapping[str, Any], topology: Mapping[str, Any], environment: Mapping[str, str] = os.environ
) -> Resolved:
    """Settings from all four places; a value that is wrong is a SettingsError with its place and its range."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name in NAMES:
        if flags.get(name) is not None:
            values[name], origins[name] = flags[name], "flag"
        elif environment.get(ENVIRONMENT[name], "").strip():
            values[name], origins[name] = environment[ENVIRONMENT[name]].strip(), "environment"
        elif topology.get(name) is not None:
            values[name], origins[name] = topology[name], "topology"
        elif name in FORMER and environment.get(FORMER[name], "").strip():
            values[name], origins[name] = environment[FORMER[name]].strip(), FORMER[name]
        else:
            origins[name] = "default"
    if values.get("status_port") == "off":
        values["status_port"] = -1
    checked: dict[str, Any] = {}
    fields = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for name, value in values.items():
        try:
            checked[name] = msgspec.convert(value, fields[name], strict=False)
        except msgspec.ValidationError as error:
            said = {"flag": f"--{name.replace('_', '-')}", "environment": ENVIRONMENT[name]}
            where = said.get(origins[name], f"{name} of the topology")
            if name in FORMER and origins[name] == FORMER[name]:
                where = FORMER[name]
            raise SettingsError(f"{where}: {expected(fields[name], error)}, not {value!r}.") from error
    return Resolved(Settings(**checked), origins)


def expected(kind: Any, error: msgspec.ValidationError) -> str:
    """What a setting may be, of msgspec's sentence what is true of text as well."""
    if get_origin(kind) is Literal:
        return f"Expected {' or '.join(get_args(kind))}"
    return str(error).partition(", got")[0]
