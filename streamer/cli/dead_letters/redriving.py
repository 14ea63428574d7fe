"""A redrive, and what it says."""

from __future__ import annotations

import sys
from collections import Counter

from streamer.cli.dead_letters.showing import plain
from streamer.cli.reading import nobody_listens, refuse_missing
from streamer.errors import SettingsError
from streamer.kafka.connection import Connection
from streamer.kafka.copying import Copy
from streamer.kafka.letters import DeadLetter, Wanted, totals
from streamer.kafka.redrive import Redrive

SKIPPED = 1


class Told:
    """A line for each on standard output, and why on standard error for those that stay."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.stayed = 0

    def redriven(self, copy: Copy) -> None:
        self.counts[copy.letter.reason] += 1
        place = copy.topic if copy.partition is None else f"{copy.topic}-{copy.partition}"
        task_id = plain(copy.letter.task_id or "-")
        try:
            print(f"{copy.letter.address}  {plain(copy.letter.reason)}  {task_id}  -> {place}", flush=True)
        except BrokenPipeError:
            nobody_listens()

    def skipped(self, letter: DeadLetter, why: str) -> None:
        self.stayed += 1
        print(f"streamer: {letter.address} stays: {plain(why)}.", file=sys.stderr)


async def put_back(
    connection: Connection, topic: str, wanted: Wanted, to: str | None, again: bool, dry_run: bool
) -> int:
    """Redrive, and say how many; the exit code."""
    there = await refuse_missing(connection, topic)
    if to is not None and to not in there:
        raise SettingsError(f"--to: topic {to!r} does not exist at {connection.bootstrap_servers}.")
    if topic == to:
        raise SettingsError(f"--to: {to!r} is the topic of these dead letters itself.")
    told = Told()
    redrive = Redrive(connection, topic, there, told, wanted=wanted, to=to, again=again, dry_run=dry_run)
    await redrive.run()
    done = "would be put back" if dry_run else "put back"
    stay = f"; {told.stayed} can't be" if told.stayed else ""
    print(f"{totals(told.counts)}, {done}{stay}", file=sys.stderr)
    return SKIPPED if told.stayed else 0
