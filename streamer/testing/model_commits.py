"""A model of commits by themselves, beside the results that they tell of."""

from streamer.testing.model_committing import Committing, Sending
from streamer.testing.model_opening import Opening


class Commits(Committing):
    """The way of commits to the broker and of acknowledgements back, with everything that may happen to them."""

    def sample(self, opening: Opening, *, leaving: bool = False, whole: bool = False) -> bool:
        del whole  # a commit always is
        if opening.committing:
            return False
        sending = self.take(opening, leaving=leaving)
        if sending is None:
            return False
        opening.committing = True
        self.unsent.append(sending)
        return True

    def hand_over(self, sending: Sending, failing: float) -> None:
        opening = sending.opening
        if (
            opening.closed
            or opening.deposed
            or opening.deposals > sending.deposals
            or self.random() < failing
        ):
            self.report.failed_commits += 1
            opening.committing = False
            return
        self.decide(sending)
        if self.random() < failing:
            self.report.failed_commits += 1  # applied, but the reply is lost
            opening.committing = False
            return
        self.sent.append(sending)

    def decide(self, sending: Sending) -> None:
        self.apply(sending)

    def succeed(self, sending: Sending) -> None:
        self.acknowledge(sending)

    def reply(self) -> None:
        """One of the acknowledgements arrives, in any order, at whoever has the partition now."""
        if self.sent:
            self.acknowledge(self.sent.pop(int(self.random() * len(self.sent))))

    def settle(self, opening: Opening) -> None:
        """What is on its way of it arrives, and so does the answer; what was not sent yet is not."""
        opening.committing = False
        self.unsent = [sending for sending in self.unsent if sending.opening is not opening]
        for sending in [sending for sending in self.sent if sending.opening is opening]:
            self.sent.remove(sending)
            self.acknowledge(sending)

    def leave(self, opening: Opening) -> None:
        """The last commit before a partition is taken, with all that may happen to it in so short a time."""
        if opening.committing:
            if self.random() < 0.5:
                return  # there was no time for another
            self.settle(opening)
        if self.sample(opening, leaving=True):
            self.report.left += 1
            while self.random() < 0.8 and self.unsent and self.unsent[-1].opening is opening:
                self.unsent.insert(0, self.unsent.pop())
                self.send(0.25)
            if self.random() < 0.5 and opening.committing:
                self.reply()

    def forsake(self, opening: Opening) -> None:
        """It is closed."""

    def abandon(self) -> None:
        """The worker crashes, and what it had sent may still arrive."""
