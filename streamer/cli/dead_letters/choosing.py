"""Which dead letters a command is about: the topic, the reasons, the time."""

from __future__ import annotations

import re
import time
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated

import typer

from streamer.errors import SettingsError
from streamer.kafka.letters import UNKNOWN, Wanted
from streamer.kafka.reasons import REASONS

DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}

TopicName = Annotated[
    str | None,
    typer.Option(
        "--topic", metavar="NAME", show_default=False, help="The topic of dead letters, instead of a module."
    ),
]
Reasons = Annotated[
    list[str] | None,
    typer.Option(
        "--reason",
        metavar="REASON",
        show_default=False,
        help=f"Only these; may be repeated: {', '.join([*REASONS, UNKNOWN])}.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        show_default=False,
        help="Only from then on: 2027-01-31T12:00:00Z, or 2h or 7d ago.",
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="TIME", show_default=False, help="Only those before then.")
]


def dead_letters_of(module: str | None, topic: str | None) -> str:
    """The topic, by its own name or by its topology's."""
    if (module is None) == (topic is None):
        raise typer.BadParameter("Give either a MODULE or --topic")
    if topic is not None:
        return topic
    from streamer.cli.judging import the_topology

    assert module is not None
    return f"{the_topology(module).name}.dead-letters"


def wanted(reasons: list[str] | None, since: str | None, until: str | None) -> Wanted:
    """The filters; a wrong one is a SettingsError that says what it may be."""
    known = [*REASONS, UNKNOWN]
    for reason in reasons or ():
        if reason not in known:
            close = get_close_matches(reason, known, 1)
            hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(known)}."
            raise SettingsError(f"--reason: {reason!r} is none. {hint}")
    now = time.time()
    first, last = moment("--since", since, now), moment("--until", until, now)
    if first is not None and last is not None and first >= last:
        raise SettingsError(f"--since {since} is not before --until {until}: there is no time between them.")
    return Wanted(frozenset(reasons or ()), first, last)


def moment(option: str, text: str | None, now: float) -> float | None:
    """Seconds since the epoch of an instant, or of a duration before ``now``."""
    if text is None:
        return None
    if found := DURATION.fullmatch(text):
        return now - float(found[1]) * SECONDS[found[2]]
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise SettingsError(
            f"{option}: {text!r} is neither an instant with an offset (2027-01-31T12:00:00Z) nor a duration (90s, 2h, 7d)."
        )
    return instant.timestamp()
