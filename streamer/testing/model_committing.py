"""A model of what one worker commits, and of the moments at which that is sampled, encoded, sent and acknowledged."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from streamer.kafka.commit import Commit
from streamer.kafka.metadata import LIMIT, Identity, Marks
from streamer.kafka.record import Record
from streamer.testing.factory import Factory
from streamer.testing.model_broker import Broker, Committed
from streamer.testing.model_opening import Opening, State
from streamer.testing.model_worker import Worker
from streamer.testing.report import Report, Violation


@dataclass(eq=False)
class Sending:
    """One commit on its way, and the naive model's state when it was sampled."""

    opening: Opening
    commit: Commit
    identity: Identity
    frontier: int
    finished: frozenset[int]
    state: State
    deposals: int
    text: str | None = None


class Committing(ABC):
    """What commits have in common, alone or in a transaction with their results.

    Of each opening one is on its way at a time. Checked here: no_commit_ahead against the exact value,
    holes_survive against the exact set, reach, that metadata fits, and that there is something to commit exactly
    when there is something new.
    """

    def __init__(
        self, factory: Factory, random: Random, report: Report, broker: Broker, worker: Worker
    ) -> None:
        self.factory = factory
        self.random = random.random
        self.report = report
        self.broker = broker
        self.worker = worker
        self.unsent: list[Sending] = []
        self.sent: list[Sending] = []

    @abstractmethod
    def sample(self, opening: Opening, *, leaving: bool = False, whole: bool = False) -> bool:
        """Begin one; False if there is nothing to say, or one is under way."""

    @abstractmethod
    def hand_over(self, sending: Sending, failing: float) -> None:
        """Send it, with all that may happen to it."""

    @abstractmethod
    def decide(self, sending: Sending) -> None:
        """The broker takes it."""

    @abstractmethod
    def succeed(self, sending: Sending) -> None:
        """Who sent it hears of that."""

    @abstractmethod
    def reply(self) -> None:
        """One of the answers arrives."""

    @abstractmethod
    def settle(self, opening: Opening) -> None:
        """Nothing of it is on its way any more."""

    @abstractmethod
    def leave(self, opening: Opening) -> None:
        """The last commit before a partition is taken, with all that may happen to it in so short a time."""

    @abstractmethod
    def forsake(self, opening: Opening) -> None:
        """It is closed."""

    @abstractmethod
    def abandon(self) -> None:
        """The worker crashes, and what it had sent may still arrive."""

    def send(self, failing: float = 0.1) -> None:
        """Take the first unsent one a step further: encode it, or hand it to the broker."""
        if not self.unsent:
            return
        sending = self.unsent[0]
        if sending.text is None:
            sending.text = self.encode(sending)
            return
        del self.unsent[0]
        self.hand_over(sending, failing)

    def inline(self, opening: Opening) -> None:
        """Commit all at once, and well."""
        self.settle(opening)
        if self.sample(opening, whole=True):
            sending = self.unsent.pop()
            sending.text = self.encode(sending)
            self.decide(sending)
            self.succeed(sending)

    def take(self, opening: Opening, *, leaving: bool, batch: Sequence[Record] = ()) -> Sending | None:
        """Sample a commit, and hold it against what it should say."""
        partition = opening.partition
        if not opening.opened:
            if partition.commit(leaving=leaving) is not None:
                raise Violation("gate", "a partition that is not open commits")
            return None
        commit = partition.commit(leaving=leaving, batch=batch)
        offsets = {record.offset for record in batch}
        state = opening.state(leaving, offsets)
        near = not leaving and opening.reach - opening.begun < opening.headroom // 2
        if (commit is None) != (state == opening.acknowledged and not near):
            raise Violation("commit", f"{commit}, with {opening.acknowledged} acknowledged and {state} now")
        if commit is None:
            return None
        if commit.frontier != state[0]:
            raise Violation("frontier", f"{commit.frontier}, not {state[0]}")
        marks = commit.marks
        if (marks.left, marks.trial, marks.level) != state[2:]:
            raise Violation("marks", f"{marks} instead of {state[2:]}")
        if (marks.moved, marks.began) != (state[0] > opening.opened_at, opening.began):
            raise Violation("marks", f"{marks}, though it has begun: {opening.began}, at {opening.opened_at}")
        under_way = max((offset for offset in opening.started if offset not in offsets), default=-1)
        if marks.reach <= under_way:
            raise Violation("reach", f"{under_way} is under way, above {marks}")
        if leaving and under_way < 0 and marks.reach > max(state[0], opening.restarted_below):
            raise Violation("reach", f"nothing is under way below {marks}, beside {state[0]}")
        finished = opening.finished(offsets)
        return Sending(opening, commit, self.broker.identity, state[0], finished, state, opening.deposals)

    def acknowledge(self, sending: Sending) -> None:
        """The answer arrives at whoever has the partition now."""
        sending.opening.committing = False
        opening = self.worker.assigned.get(sending.commit.number)
        if opening is None or not (opening.opened or opening.suspended):
            return
        counts = opening.partition.committed(sending.commit)
        current = (
            opening is sending.opening and sending.commit.resumed == opening.partition.checkpoint.resumed
        )
        if counts != current:
            raise Violation("commit", f"an acknowledgement counts: {not counts} is right")
        if counts:
            opening.acknowledged = sending.state
            opening.reach = sending.commit.marks.reach
            opening.partition.reach.note_pace()  # commits are as good a clock as any

    def encode(self, sending: Sending) -> str:
        text = self.factory.encode(sending.commit, sending.identity)
        if len(text) > LIMIT:
            raise Violation("metadata", f"{len(text)} characters")
        restored = self.factory.decode(text, sending.identity, sending.frontier)
        said = {offset for interval in restored.finished for offset in range(*interval)}
        if restored.reason or restored.nonce != sending.opening.nonce:
            raise Violation("metadata", f"our own is refused: {restored}")
        if said - sending.finished:
            raise Violation("no_commit_ahead", f"{sorted(said - sending.finished)} are not finished")
        if sending.finished - said:
            raise Violation("holes_survive", f"{sorted(sending.finished - said)} are not remembered")
        if restored.marks != visible(sending.commit):
            raise Violation("marks", f"{sending.commit.marks} are read as {restored.marks}")
        self.report.longest = max(self.report.longest, len(text))
        return text

    def apply(self, sending: Sending) -> None:
        """The broker takes it."""
        opening, commit, finished = sending.opening, sending.commit, sending.finished
        log, offset, text = opening.log, commit.frontier, sending.text
        assert text is not None
        if offset > log.lowest_unanswered or offset != sending.frontier:
            raise Violation(
                "no_commit_ahead",
                f"{offset} instead of {sending.frontier}, with {log.lowest_unanswered} unanswered",
            )
        exactly = self.report.exactly_once
        for message in log.messages[log.index(offset) :]:
            if message.offset in finished:
                if not message.results:
                    raise Violation(
                        "no_commit_ahead", f"{message.offset} is called finished and has no result"
                    )
            elif message.offset > commit.end:
                break
            elif exactly and message.results:
                raise Violation("exactly_once", f"{message.offset} has its result, and is not finished")
        number = opening.partition.number
        self.broker.committed[number] = Committed(
            offset, text, finished, sending.identity, opening.nonce, visible(commit), opening.channel
        )
        if not opening.closed and opening.started and max(opening.started) >= commit.marks.reach:
            under_way = [o for o in opening.started if o >= commit.marks.reach and o not in finished]
            if under_way:
                raise Violation("reach", f"{under_way} are under way, above {commit.marks}")
        opening.channel.forget(offset)
        self.report.commits += 1
        self.report.widest = max(self.report.widest, commit.end - offset)


def visible(commit: Commit) -> Marks:
    """What another owner can read: nobody is accused of what is finished."""
    marks = commit.marks
    over = marks.trial is not None and marks.trial.offset < commit.frontier
    return marks._replace(reach=max(marks.reach, commit.frontier), trial=None if over else marks.trial)
