"""A model of one worker's commits: sampled, encoded, sent and acknowledged at different moments."""

from dataclasses import dataclass
from random import Random

from streamer.kafka.commit import Commit
from streamer.kafka.metadata import LIMIT, Identity
from streamer.testing.factory import Factory
from streamer.testing.model_broker import Broker, Committed
from streamer.testing.model_opening import Opening
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
    state: tuple[int, int]
    text: str | None = None


class Commits:
    """The way of commits to the broker and of acknowledgements back, with everything that may happen to them.

    Checked here: no_commit_ahead against the exact value, holes_survive against the exact set, that metadata
    fits, and that there is something to commit exactly when there is something new.
    """

    def __init__(self, factory: Factory, random: Random, report: Report, broker: Broker) -> None:
        self.factory = factory
        self.random = random.random
        self.report = report
        self.broker = broker
        self.unsent: list[Sending] = []
        self.sent: list[Sending] = []

    def sample(self, opening: Opening) -> bool:
        """Whether there was something to commit."""
        commit = opening.partition.commit()
        state = opening.state
        if (commit is None) != (state == opening.acknowledged):
            raise Violation("commit", f"{commit}, with {opening.acknowledged} acknowledged and {state} now")
        if commit is not None:
            if commit.frontier != opening.frontier:
                raise Violation("frontier", f"{commit.frontier}, not {opening.frontier}")
            self.unsent.append(
                Sending(opening, commit, self.broker.identity, opening.frontier, opening.finished, state)
            )
        return commit is not None

    def send(self, failing: float = 0.1) -> None:
        """Take the first unsent one a step further: encode it, or hand it to the broker."""
        if not self.unsent:
            return
        sending = self.unsent[0]
        if sending.text is None:
            sending.text = self._encode(sending)
            return
        del self.unsent[0]
        if sending.opening.closed or self.random() < failing:
            self.report.failed_commits += 1
            return
        self._apply(sending, sending.text)
        if self.random() < failing:
            self.report.failed_commits += 1  # applied, but the reply is lost
            return
        self.sent.append(sending)

    def reply(self, worker: Worker) -> None:
        """One of the acknowledgements arrives, in any order, at whoever has the partition now."""
        if not self.sent:
            return
        sending = self.sent.pop(int(self.random() * len(self.sent)))
        self._acknowledge(sending, worker)

    def inline(self, opening: Opening, worker: Worker) -> None:
        """Commit at once, as on a revoke: nothing that was sampled before is sent afterwards."""
        self.unsent = [sending for sending in self.unsent if sending.opening is not opening]
        if self.sample(opening):
            sending = self.unsent.pop()
            self._apply(sending, self._encode(sending))
            self._acknowledge(sending, worker)

    def _acknowledge(self, sending: Sending, worker: Worker) -> None:
        opening = worker.assigned.get(sending.commit.number)
        if opening is None or not opening.opened:
            return
        opening.partition.committed(sending.commit)
        if opening is sending.opening:
            opening.acknowledged = sending.state

    def _encode(self, sending: Sending) -> str:
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
        self.report.longest = max(self.report.longest, len(text))
        return text

    def _apply(self, sending: Sending, text: str) -> None:
        opening, offset = sending.opening, sending.commit.frontier
        log = opening.log
        if offset > log.lowest_unanswered or offset != sending.frontier:
            raise Violation(
                "no_commit_ahead",
                f"{offset} instead of {sending.frontier}, with {log.lowest_unanswered} unanswered",
            )
        for message in log.messages[log.index(offset) :]:
            if message.offset > sending.commit.end:
                break
            if message.offset in sending.finished and not message.results:
                raise Violation("no_commit_ahead", f"{message.offset} is called finished and has no result")
        number = opening.partition.number
        self.broker.committed[number] = Committed(offset, text, sending.finished, sending.identity)
        self.report.commits += 1
        self.report.widest = max(self.report.widest, sending.commit.end - offset)
