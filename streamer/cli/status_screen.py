"""How ``streamer status`` looks: a line for the group, a table of its partitions, its workers, what they warn of."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from streamer.cli.screen import console, table
from streamer.kafka.groups import Committed, Group, Member
from streamer.kafka.snapshot import PartitionSnapshot, WorkerSnapshot
from streamer.kafka.why import clipped, duration

WARNINGS_SHOWN = 5


class Row(Struct, frozen=True, kw_only=True):
    """A partition by its commit and by its worker, where there is one that answers."""

    committed: Committed
    worker: int | None = None
    seen: PartitionSnapshot | None = None
    why: str

    @property
    def fine(self) -> bool:
        return self.why.startswith("fine")


def rows(group: Group) -> list[Row]:
    """All partitions, with what holds each up."""
    owners = {tp: number for number, member in enumerate(group.members, 1) for tp in member.partitions}
    found = []
    for partition in group.partitions:
        number = owners.get((partition.topic, partition.partition))
        member = group.members[number - 1] if number is not None else None
        seen = seen_by(member, partition)
        found.append(
            Row(committed=partition, worker=number, seen=seen, why=reason(group, member, partition, seen))
        )
    return found


def seen_by(member: Member | None, partition: Committed) -> PartitionSnapshot | None:
    if member is None or member.worker is None:
        return None
    place = (partition.topic, partition.partition)
    return next((p for p in member.worker.partitions if (p.topic, p.partition) == place), None)


def reason(group: Group, member: Member | None, partition: Committed, seen: PartitionSnapshot | None) -> str:
    """One sentence: the worker's own where it answers, else what can be told without it."""
    if seen is not None:
        return seen.why
    if not partition.left:
        return "fine: 0 behind" + ("" if member is not None else " (nobody is assigned)")
    if member is not None:
        if member.worker is not None:
            return "its worker is about to take it over"
        return f"worker {group.members.index(member) + 1} does not say; see below"
    if group.state in ("PreparingRebalance", "CompletingRebalance"):
        return "the group rebalances: partitions are being handed out"
    return "nobody is assigned: no worker runs" if not group.members else "nobody is assigned"


def as_data(groups: list[Group]) -> Any:
    """The same for programs."""
    return [
        {
            "group": group.name,
            "state": group.state,
            "workers": group.members,
            "partitions": [
                {**msgspec.structs.asdict(row.committed), "worker": row.worker, "why": row.why}
                | ({"oldest": row.seen.oldest} if row.seen is not None else {})
                for row in rows(group)
            ],
        }
        for group in groups
    ]


def show(groups: list[Group]) -> None:
    """Print them for people."""
    out = console()
    for number, group in enumerate(groups):
        if number:
            out.print()
        show_group(out, group)


def show_group(out: Console, group: Group) -> None:
    found = rows(group)
    left = sum(row.committed.left for row in found)
    count = len(group.members)
    out.print(
        f"[bold]Group {escape(group.name)}[/bold]  {said(group.state)}, "
        f"{count} worker{'' if count == 1 else 's'}, {left:,} behind",
        soft_wrap=True,
    )
    if not found:
        out.print("  No partition: the topic does not exist, or the group has never read one.")
    for topic in sorted({row.committed.topic for row in found}):
        out.print(f"\n[bold]{escape(topic)}[/bold]", soft_wrap=True)
        out.print(partitions([row for row in found if row.committed.topic == topic]))
    if group.members:
        out.print()
        out.print(workers(group.members))
    for number, member in enumerate(group.members, 1):
        if member.worker is not None:
            notes(out, number, member.worker)


def said(state: str) -> str:
    """The broker's word for a group's state, for people."""
    return {
        "Stable": "stable",
        "Empty": "without members",
        "Dead": "unknown to the broker",
        "PreparingRebalance": "rebalancing",
        "CompletingRebalance": "rebalancing",
    }.get(state, state)


def partitions(found: list[Row]) -> Table:
    """A row for each, and under it what it waits for."""
    shown = table(
        "PART", "WORKER", "COMMITTED", "END", "BEHIND", "HOLES", "RUN", "WAIT", "WHY", numbers=NUMBERS
    )
    for row in found:
        committed, seen = row.committed, row.seen
        why = escape(row.why)
        if seen is not None and seen.oldest is not None and not row.fine:
            why += f"\n[dim]offset {seen.oldest.offset}, task {escape(clipped(seen.oldest.task_id))}{age(seen)}[/dim]"
        shown.add_row(
            str(committed.partition),
            str(row.worker) if row.worker is not None else "-",
            str(committed.frontier) if committed.frontier is not None else "-",
            str(committed.end),
            str(committed.left),
            str(seen.holes if seen is not None else committed.holes),
            str(seen.running) if seen is not None else "-",
            str(seen.waiting + seen.parked) if seen is not None else "-",
            why,
            style="dim" if row.fine else "",
        )
    return shown


NUMBERS = ("PART", "WORKER", "COMMITTED", "END", "BEHIND", "HOLES", "RUN", "WAIT")


def age(seen: PartitionSnapshot) -> str:
    task = seen.oldest
    assert task is not None
    if task.seconds is not None:
        return f", began {duration(task.seconds)} ago"
    return f", {duration(task.age)} old" if task.age is not None else ""


def workers(members: tuple[Member, ...]) -> Table:
    """Who is in the group."""
    shown = table(
        "WORKER", "HOST", "PID", "VERSION", "UP", "MEMORY", "SLOTS", "STATE", numbers=("WORKER", "PID")
    )
    for number, member in enumerate(members, 1):
        worker = member.worker
        if worker is None:
            shown.add_row(str(number), escape(member.host), "", "", "", "", "", escape(member.silent or ""))
            continue
        memory = f"{worker.memory_bytes / 1_048_576:.0f} MB" if worker.memory_bytes is not None else "-"
        shown.add_row(
            str(number),
            escape(worker.host),
            str(worker.pid),
            worker.version,
            duration(worker.uptime),
            memory,
            f"{worker.busy} of {worker.concurrency}",
            state(worker),
        )
    return shown


def state(worker: WorkerSnapshot) -> str:
    """What it says of itself."""
    lag = f", loop {worker.loop_lag:.1f} s late" if worker.loop_lag >= 0.5 else ""
    counts = "".join(f", {count} {name.replace('_', ' ')}" for name, count in worker.counts.items() if count)
    return f"{worker.state}{lag}{counts}"


def notes(out: Console, number: int, worker: WorkerSnapshot) -> None:
    """What its watchdog says now, and what it warned of lately."""
    now = (*worker.problems, *worker.stuck)
    for sentence in now:
        out.print(Padding(f"[red]![/red] worker {number}: {escape(sentence)}", (1, 0, 0, 0)))
    places = {sentence.partition(": ")[0] for sentence in now}
    others = [warned for warned in worker.warnings if warned.sentence.partition(": ")[0] not in places]
    older = [warned for warned in others if warned.sentence not in now][-WARNINGS_SHOWN:]
    if older:
        out.print(f"\n[dim]Warnings of worker {number}, the last ten minutes[/dim]")
    for warned in older:
        times = f" ({warned.times} times)" if warned.times > 1 else ""
        out.print(f"  {warned.at:%H:%M:%S} UTC  {escape(warned.sentence)}{times}")
