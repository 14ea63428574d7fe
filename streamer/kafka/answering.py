"""From a record to its outcome: decoded at one place, begun at one place, one coroutine until it has its result."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.decoding import Decoder
from streamer.engine import Engine
from streamer.errors import InvalidTask
from streamer.kafka.claiming import Claiming, is_claim
from streamer.kafka.dispatcher import Dispatcher
from streamer.kafka.headers import DEADLINE, TASK_ID, check_deadline, check_names, header, instant
from streamer.kafka.quarantine import CRASHES
from streamer.kafka.record import ADMITTED, Record
from streamer.kafka.writing import content_type
from streamer.results import Result
from streamer.tasks import priority_of

ELSEWHERE = object()
"""The task is not in the record; it only says where."""
Outcome = Result | InvalidTask


class Answering:
    """What a worker does with a record: `decode` as it comes, `answer` when there is a slot for it."""

    def __init__(self, dispatcher: Dispatcher, engine: Engine, decoder: Decoder, claiming: Claiming) -> None:
        self.dispatcher = dispatcher
        self.loop = asyncio.get_running_loop()
        self.engine = engine
        self.decoder = decoder
        self.claiming = claiming
        kind = decoder.type
        self.has_id = not hasattr(kind, "__struct_fields__") or "id" in kind.__struct_fields__

    def decode(self, record: Record) -> tuple[Record, Any, float]:
        """A record with its task, or with what is wrong with it; never raises."""
        message = record.message
        received = self.loop.time()
        try:
            if message.headers:
                check_names(message)
                check_deadline(message)
                if is_claim(message):
                    return record, ELSEWHERE, received
                return record, self.decoder.decode(message.value, content_type(message)), received
            return record, self.decoder.decode(message.value), received
        except InvalidTask as problem:
            return record, named(problem, message), received

    async def answer(self, item: tuple[Record, Any, float]) -> tuple[Record, Outcome] | None:
        """One record to its result; None when it was let go before, or its partition meanwhile."""
        record, task, received = item
        dispatcher = self.dispatcher
        if record.offset >= record.partition.reach.acknowledged:
            await dispatcher.reached(record)
        if not dispatcher.membership.valid:
            await dispatcher.membership.wait(
                lambda: dispatcher.membership.valid or record.state is not ADMITTED
            )
        if not dispatcher.begin(record):
            return None
        outcome: Any = None
        try:
            outcome = task if type(task) is InvalidTask else await self.outcome(record, task, received)
        except asyncio.CancelledError:
            every = asyncio.current_task()
            if record.work is not None or every is None:
                raise
            every.uncancel()  # it was meant for this record, not for the task that goes on with others
        return (record, outcome) if dispatcher.answered(record) else None

    async def outcome(self, record: Record, task: Any, received: float) -> Outcome:
        """What becomes of a task that could be read, or of one that is elsewhere."""
        message = record.message
        if record.poison:
            return poisonous(message, None if task is ELSEWHERE else task)
        if task is ELSEWHERE:
            record.work = asyncio.current_task()
            task = await self.claiming.task(message)
            if type(task) is InvalidTask:
                return named(task, message)
        deadline = None
        task_id = task.id if self.has_id else None
        if message.headers:
            task_id = task_id or header(message, TASK_ID)
            deadline = instant(header(message, DEADLINE))
        result = await self.engine.run(
            task,
            task_id=task_id or f"{message.topic}-{message.partition}-{message.offset}",
            received=received,
            deadline=deadline,
            journal=self.dispatcher.memory(record),
            watched=record,
        )
        if result.possible_duplicate_calls:
            self.dispatcher.possible_duplicates += result.possible_duplicate_calls
        return result if self.claiming.store is None else await self.claiming.result(message, result)


def priority(item: tuple[Record, Any, float]) -> int | None:
    """The priority of what waits to begin; of a task that is elsewhere it is not known yet."""
    return priority_of(item[1])


def named(problem: InvalidTask, message: Any) -> InvalidTask:
    """The same, with the task's id where only the header has it."""
    if problem.task_id is None:
        problem.task_id = header(message, TASK_ID)
    return problem


def poisonous(message: Any, task: Any) -> InvalidTask:
    """What took its worker down too often."""
    task_id = getattr(task, "id", None)
    problem = InvalidTask(
        "poison",
        f"The worker crashed {CRASHES} times while it ran this task and nothing else. Look at what it does to the "
        "process (memory, native code, exits), then redrive it.",
        None if task_id is None else str(task_id),
    )
    return named(problem, message)
