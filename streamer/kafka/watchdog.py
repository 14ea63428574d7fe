"""What a watchdog says of a worker: silent partitions, a late event loop, lost heartbeats, stuck tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from streamer.blocking import Kept

STUCK_AFTER = 600.0
CLOSED_AFTER = 120.0
"""Seconds in which a partition is opened, the wait for another worker's open transaction included."""
SILENT_AFTER = 30.0
GIVE_UP_AFTER = 300.0
"""Seconds of silence after which only a new process can help; the first remedy was tried long before."""
LATE = 2.0
IDLE = 4
"""A process that has used less than this part of the time has computed nothing that kept the loop."""
CALM = 30.0
"""A loop that was late is fine again once it was on time for so long."""
FRESH = 20.0
"""An end offset that is older proves nothing: the broker may be away, which is not the consumer's fault."""


class PartitionSight(NamedTuple):
    """A partition at one moment. ``end_at`` is when its end was learnt; ``room`` whether it could be polled."""

    place: str
    position: int
    end: int
    end_at: float
    room: bool


class TasksSight(NamedTuple):
    """The tasks of a partition that run for too long: how many, and the one that runs longest."""

    place: str
    many: int
    task_id: str
    offset: int
    seconds: float
    doing: str


class Sight(NamedTuple):
    """A worker at one moment. ``late`` is by how much this tick came too late, ``unheard`` for how long no
    heartbeat has got through; None where the worker is not in its group, or joins it. ``kept`` is the function that
    kept the loop for longest since the last tick.
    """

    late: float
    unheard: float | None
    partitions: Sequence[PartitionSight] = ()
    tasks: Sequence[TasksSight] = ()
    kept: Kept | None = None
    closed: Sequence[str] = ()
    """Partitions that are assigned and to be opened."""
    busy: float | None = None
    """Seconds of CPU that the process has used since the last tick."""


class Remedy(Enum):
    """What is to be done beside saying it."""

    NONE = "none"
    READ_AGAIN = "read again"
    END = "end"


class Finding(NamedTuple):
    """A sentence, and what is to be done about it where."""

    sentence: str
    place: str = ""
    remedy: Remedy = Remedy.NONE


@dataclass
class Silence:
    """Records are there and could be taken, and none comes."""

    position: int
    since: float
    read_again: bool = False
    given_up: bool = False


@dataclass
class Watchdog:
    """Judges what it is shown, once a second or so; all times are seconds on one clock.

    Invariants: each episode is told once when it begins, and once when it ends; a partition is read again once,
    and the worker ended once, per silence; only a broker that has just named an end above the position makes a
    silence, so that an outage is none.
    """

    session_timeout: float = 10.0
    silent_after: float = SILENT_AFTER
    give_up_after: float = GIVE_UP_AFTER
    troubles: dict[str, str] = field(default_factory=dict)
    """The episodes under way that a restart of the worker would end."""
    outages: dict[str, str] = field(default_factory=dict)
    """Those that it would not: what comes of a restart is that work is paid for again."""
    stuck: dict[str, str] = field(default_factory=dict)
    """Partitions with stuck tasks: a restart would only pay for them again."""
    silences: dict[str, Silence] = field(default_factory=dict)
    on_time_since: float | None = None
    closed_since: dict[str, float] = field(default_factory=dict)

    def look(self, now: float, sight: Sight) -> list[Finding]:
        """What is new since the last look."""
        return [
            *self.loop(now, sight.late, sight.kept, sight.busy),
            *self.heartbeat(sight.unheard),
            *self.closed(now, sight.closed if self.in_touch(sight) else ()),
            *self.consumer(now, sight.partitions),
            *self.tasks(sight.tasks),
        ]

    def loop(
        self, now: float, late: float, kept: Kept | None = None, busy: float | None = None
    ) -> Iterable[Finding]:
        """Everything shares the loop, heartbeats too."""
        limit = min(LATE, self.session_timeout / 3)
        if late >= limit:
            self.on_time_since = now
            session = f"the session timeout ({self.session_timeout:g} s)"
            severe = late >= self.session_timeout * 2 / 3
            danger = (
                f"that is close to {session}, after which"
                if severe
                else f"when it lasts as long as {session}"
            )
            who = f"{kept.name} kept it for {kept.seconds:.1f} s. " if kept is not None else ""
            if kept is None and busy is not None and busy < late / IDLE:
                who = (
                    f"The process used {busy:.1f} s of CPU meanwhile: perhaps it was stopped or paused from outside "
                    "(a signal, a paused machine or container). If not: "
                )
            yield from self.begin(
                "loop, severe" if severe else "loop",
                f"The event loop stood still for {late:.1f} s; {danger} the group gives these partitions away. {who}"
                "Register what blocks as a plain function, what computes with run_in='process'; in an operator, wrap "
                "it: in_thread(...), in_process(...).",
            )
        elif self.on_time_since is not None and now - self.on_time_since >= CALM:
            self.on_time_since = None
            severe = self.troubles.pop("loop, severe", None) is not None
            if self.troubles.pop("loop", None) is not None or severe:
                yield Finding("The event loop is on time again.")

    def heartbeat(self, unheard: float | None) -> Iterable[Finding]:
        """Without heartbeats the group takes the partitions away."""
        if unheard is not None and unheard >= self.session_timeout * 2 / 3:
            said = (
                f"No heartbeat has got through for {unheard:.0f} s; after {self.session_timeout:g} s the group gives "
                "these partitions away. Look at the connection to the broker, and at what keeps the event loop."
            )
            if "heartbeat" not in self.outages:
                yield Finding(said)
            self.outages["heartbeat"] = said
        elif self.outages.pop("heartbeat", None) is not None:
            yield Finding("Heartbeats get through again.")

    def in_touch(self, sight: Sight) -> bool:
        """Whether the broker is there: without it no partition can be opened, by whomever."""
        return sight.unheard is not None and sight.unheard < self.session_timeout * 2 / 3

    def closed(self, now: float, places: Sequence[str]) -> Iterable[Finding]:
        """Nothing is read of a partition that is not opened."""
        for place in self.closed_since.keys() - set(places):
            del self.closed_since[place]
            if self.troubles.pop(f"{place}, closed", None) is not None:
                yield Finding(f"{place}: it is open, or another worker's.", place)
        for place in places:
            lasted = now - self.closed_since.setdefault(place, now)
            if lasted >= CLOSED_AFTER:
                yield from self.begin(
                    f"{place}, closed",
                    f"{place}: not opened for {lasted:.0f} s, so nothing of it is read. What is committed can't be "
                    "read, or a transaction of the worker that had it is still open: look at the broker; if that is "
                    "well, restart this worker.",
                )

    def consumer(self, now: float, partitions: Sequence[PartitionSight]) -> Iterable[Finding]:
        """A consumer that gets nothing though there is something."""
        for gone in self.silences.keys() - {partition.place for partition in partitions}:
            del self.silences[gone]
            self.troubles.pop(gone, None)
        for seen in partitions:
            place = seen.place
            silence = self.silences.get(place)
            if (
                seen.end <= seen.position
                or not seen.room
                or silence is None
                or silence.position != seen.position
            ):
                if seen.end > seen.position and seen.room:
                    self.silences[place] = Silence(seen.position, now)
                else:
                    self.silences.pop(place, None)
                if self.troubles.pop(place, None) is not None:
                    yield Finding(f"{place}: records come again.", place)
                continue
            lasted = now - silence.since
            if lasted < self.silent_after or now - seen.end_at > FRESH:
                continue
            there = f"no record has come for {lasted:.0f} s, though the log goes from {seen.position} to {seen.end}"
            if not silence.read_again:
                silence.read_again = True
                self.troubles[place] = f"{place}: {there}."
                yield Finding(
                    f"{place}: {there}; fetching anew from {seen.position}.", place, Remedy.READ_AGAIN
                )
            elif lasted >= self.give_up_after and not silence.given_up:
                silence.given_up = True
                yield Finding(
                    f"{place}: {there}, and fetching anew did not help. This worker ends so that it is started again, "
                    "by whatever supervises it, with a new connection.",
                    place,
                    Remedy.END,
                )

    def tasks(self, tasks: Sequence[TasksSight]) -> Iterable[Finding]:
        """Tasks without an end; the remedy is a clock, which only their author can set."""
        for free in self.stuck.keys() - {seen.place for seen in tasks}:
            del self.stuck[free]
            yield Finding(f"{free}: no task runs too long any more.", free)
        for seen in tasks:
            others = f" (and {seen.many - 1} more here)" if seen.many > 1 else ""
            said = (
                f"{seen.place}: task {seen.task_id}, offset {seen.offset}, runs for {seen.seconds:.0f} s{others}: "
                f"{seen.doing}."
            )
            if seen.place not in self.stuck:
                yield Finding(
                    f"{said} Give its calls a timeout, or the task a deadline; `streamer status` shows more.",
                    seen.place,
                )
            self.stuck[seen.place] = said

    def begin(self, trouble: str, sentence: str) -> Iterable[Finding]:
        if trouble not in self.troubles:
            yield Finding(sentence)
        self.troubles[trouble] = sentence


def limit_of(stuck_after: float, timeout: float | None) -> float:
    """For how long a task may run: one that names a long timeout is given twice that."""
    return max(stuck_after, 2 * (timeout or 0.0))
