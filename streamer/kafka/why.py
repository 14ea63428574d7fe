"""Why a partition does not move, in one plain sentence; the first thing that holds it up comes first."""

from __future__ import annotations

from streamer.kafka.snapshot import CallSnapshot, PartitionSnapshot, TaskSnapshot, WorkerSnapshot

LONGEST_NAME = 80
HELD_BY = {
    "journal": "waits until the journal has what was answered, before it calls again",
    "group": "waits until the group has heard of this worker, before it calls again",
}


def why(partition: PartitionSnapshot, worker: WorkerSnapshot) -> str:
    """Of an assigned partition."""
    silent = next((said for said in worker.problems if said.startswith(f"{partition.place}: ")), None)
    if silent is not None:
        return silent.removeprefix(f"{partition.place}: ").rstrip(".")
    if not partition.open:
        return "is being opened: what is committed is read"
    oldest = partition.oldest
    if oldest is not None:
        return waits(oldest, worker)
    if partition.frontier is not None and partition.committed != partition.frontier:
        return "the next commit is due"
    if partition.left:
        if worker.state == "draining":
            return "the worker drains: it takes no more"
        if worker.outstanding >= worker.outstanding_limit:
            return (
                f"waits for room ({worker.outstanding} of {worker.outstanding_limit} outstanding, elsewhere)"
            )
        return "waits for records from the broker"
    return "fine: 0 behind"


def waits(task: TaskSnapshot, worker: WorkerSnapshot) -> str:
    """What the oldest task waits for."""
    if task.state == "publishing" or task.state == "answered":
        if worker.unwritable is not None:
            return f"output can't be written: {worker.unwritable}"
        return "its result is being written"
    if task.state == "parked":
        return f"parked until {task.resumes_at:%H:%M:%S} UTC" if task.resumes_at else "parked"
    if task.state == "admitted":
        if worker.quarantined:
            return "waits for the trial of what ran when a worker crashed"
        if task.held_by == "commit" and worker.unwritable is not None:
            return f"waits for a commit that lets it begin; output can't be written: {worker.unwritable}"
        if worker.busy >= worker.concurrency:
            return f"waits for a run slot ({worker.busy} of {worker.concurrency} busy)"
        return "waits behind another task of its key"
    call = task.call
    if task.held_by is not None and (call is None or call.seconds is None):
        return HELD_BY[task.held_by]
    if call is not None and call.seconds is None and call.limit is None:
        return f"waits for a call of {called(call)} that it is to share with others"
    if call is not None and call.seconds is None:
        return f"waits for a slot of {call.provider} (all {call.limit} busy)"
    if call is not None:
        what = called(call) if call.provider == "function" else f"answer of {call.provider}"
        others = f", {task.calls} calls in all" if task.calls > 1 else ""
        return (
            f"waits for {what} (attempt {clipped(call.attempt_id or '')}, {duration(call.seconds)}{others})"
        )
    if task.waits_for_slot:
        return f"waits for a run slot again ({worker.busy} of {worker.concurrency} busy)"
    if task.resumes_at is not None:
        after = f" after {task.last_failure}" if task.last_failure else ""
        return f"waits until {task.resumes_at:%H:%M:%S} UTC to try again{after}"
    if task.in_stream:
        return f"waits for the answer of the topology's stream ({duration(task.seconds)})"
    return f"the topology's own code runs ({duration(task.seconds)})"


def called(call: CallSnapshot) -> str:
    return f"function {call.model}" if call.provider == "function" else call.provider


def clipped(name: str) -> str:
    """A name that fits into a sentence: of a long one both ends, which say most."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME // 2]}…{name[-LONGEST_NAME // 2 :]}"


def duration(seconds: float | None) -> str:
    """For people: 4 s, 12 min, 3.5 h."""
    if seconds is None:
        return "?"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"
