"""A model of a running task: paid calls, each of which needs the answer of the one before."""

from datetime import UTC, datetime

from streamer.errors import Category
from streamer.events import Answer, Outcome
from streamer.kafka.journal.memory import TaskMemory
from streamer.results import Attempt as Paid
from streamer.results import Failure, Status
from streamer.testing.model_broker import Broker, Message
from streamer.testing.model_journal import Attempt
from streamer.testing.model_opening import Opening
from streamer.testing.report import Report, Violation

_ATTEMPT = Paid(
    id="a",
    provider="p",
    model=None,
    outcome=Status.SUCCEEDED,
    category=None,
    started_at=datetime(2027, 1, 31, tzinfo=UTC),
    duration=1.0,
    time_to_first_token=None,
    usage=None,
    cost=None,
    violations=(),
)
_ANSWER = Answer(text="so")
_LATER = Failure(category=Category.RATE_LIMIT, type="Later", message="later")


class Task:
    """What the engine does with one record: it asks the journal first, and pays for what that doesn't know.

    A step whose attempt was told to come later has another one. Checked here: paid_once, against what was
    acknowledged to owners whose claim held, and against what this owner's journal holds.
    """

    __slots__ = (
        "broker",
        "calling",
        "memory",
        "message",
        "noted",
        "number",
        "opening",
        "over",
        "parked",
        "report",
        "step",
    )

    def __init__(self, opening: Opening, memory: TaskMemory, broker: Broker, report: Report) -> None:
        self.opening = opening
        self.memory = memory
        self.broker = broker
        self.report = report
        self.message: Message = memory.record.message
        self.step = self.number = 1
        self.noted: Attempt | None = None
        self.calling = self.parked = False
        self.over = memory.record.poison  # a dead letter needs no call

    def go_on(self) -> None:
        """Up to the next call, if it may begin, or to the end."""
        if self.calling or self.over:
            return
        while (outcome := self._recall()) is not None:
            self.report.recalled += 1
            self._past(later=outcome.failure is not None)
            if self.over:
                return
        if self.memory.unsettled and not self.opening.channel.closed:
            return
        if self.memory.gone:
            self.over = True
            return
        self._pay()

    def answered(self, *, later: bool) -> None:
        """Its call has ended; what was answered is noted, or that it is to be made later."""
        self.calling = False
        self.noted = str(self.step), self.number
        self.broker.answers += 1
        self.memory.note(
            Outcome(
                path=str(self.step),
                number=self.number,
                digest=self.broker.answers.to_bytes(8),
                attempt=_ATTEMPT,
                answer=None if later else _ANSWER,
                failure=_LATER if later else None,
                not_before=1.0 if later else None,
            )
        )
        self._past(later=later)

    def _past(self, *, later: bool) -> None:
        if later:
            self.number += 1
        else:
            self.step, self.number = self.step + 1, 1
            self.over = self.step > self.message.steps

    def _recall(self) -> Outcome | None:
        outcome = self.memory.recall(str(self.step), self.number)
        noted = self.opening.channel.notes.get(self.message.offset, {}).get((str(self.step), self.number))
        if noted is not None and (outcome is None or outcome.digest != noted[0]):
            raise Violation("paid_once", f"{self} is noted at {noted[1]}, and not recalled")
        return outcome

    def _pay(self) -> None:
        which, message = (str(self.step), self.number), self.message
        durable = self.opening.channel.notes.get(message.offset, {})
        unheard = (message.offset, self.noted) in self.opening.channel.unheard
        if self.noted is not None and (self.noted not in durable or unheard):
            raise Violation("paid_once", f"{self} begins, and {self.noted} is not durable")
        if which in message.promised and self.broker.claimed(self.opening) and not self.report.tampered:
            raise Violation("paid_once", f"{self} is paid again, and its answer was acknowledged")
        self.report.paid_again += which in message.paid
        message.paid |= {which}
        self.report.paid += 1
        self.calling = True

    def __repr__(self) -> str:
        return f"attempt {self.number} of step {self.step} of {self.memory.record!r}"
