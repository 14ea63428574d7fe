"""What a worker knows about itself at one moment: what ``/status`` answers. Times are seconds, instants RFC 3339."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class CallSnapshot(Struct, frozen=True, kw_only=True):
    """A call of a provider: under way for ``seconds``, or waiting for one of its ``limit`` slots (then both it and
    ``attempt_id`` are ``null``), or, without a ``limit``, for others to share it.
    """

    provider: str
    model: str | None
    attempt_id: str | None
    seconds: float | None
    limit: int | None = None


class TaskSnapshot(Struct, frozen=True, kw_only=True):
    """An unfinished record. ``age`` counts from its timestamp, ``seconds`` from when it began to run.

    ``call`` is the oldest of its ``calls`` calls; ``resumes_at`` the end of its back-off, where nothing else goes on;
    ``in_stream``: it waits for the answer of its topology's stream. ``held_by``: it may not go on before the
    ``journal`` has what was answered, the ``group`` has heard of this worker, or a ``commit`` lets it begin.
    """

    offset: int
    task_id: str
    state: str
    age: float | None = None
    seconds: float | None = None
    timeout: float | None = None
    calls: int = 0
    call: CallSnapshot | None = None
    resumes_at: datetime | None = None
    last_failure: str | None = None
    waits_for_slot: bool = False
    in_stream: bool = False
    held_by: str | None = None


class PartitionSnapshot(Struct, frozen=True, kw_only=True):
    """A partition and what of it is unfinished. ``hole_offsets`` are the first of the ``holes``.

    ``lag`` counts from the frontier to the end, ``left`` without what is finished above the frontier.
    """

    topic: str
    partition: int
    open: bool
    frontier: int | None = None
    committed: int | None = None
    position: int | None = None
    end: int | None = None
    lag: int | None = None
    left: int | None = None
    holes: int = 0
    hole_offsets: tuple[int, ...] = ()
    unfinished: int = 0
    waiting: int = 0
    running: int = 0
    parked: int = 0
    answered: int = 0
    oldest: TaskSnapshot | None = None
    why: str = ""

    @property
    def place(self) -> str:
        return f"{self.topic}-{self.partition}"


class Warned(Struct, frozen=True):
    """A sentence that was said, when last, and how often."""

    at: datetime
    sentence: str
    times: int = 1


class WorkerSnapshot(Struct, frozen=True, kw_only=True):
    """A worker: one topology in one process. ``problems`` are what its watchdog says is wrong now; it is not
    ``healthy`` while a new start would heal one of them.

    ``quarantined``: a crash left suspects, and nothing else begins before they were tried.
    """

    topology: str
    client_id: str
    version: str
    host: str
    pid: int
    uptime: float
    memory_bytes: int | None
    loop_lag: float
    delivery: str
    group: str
    member_id: str | None
    generation: int | None
    input: str
    output: str
    state: str
    busy: int
    concurrency: int
    outstanding: int
    outstanding_limit: int
    unwritable: str | None = None
    quarantined: bool = False
    partitions: tuple[PartitionSnapshot, ...] = ()
    healthy: bool = True
    problems: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()
    counts: dict[str, int] = {}
