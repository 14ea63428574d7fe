"""A model of what a broker keeps: logs with gaps, results, and committed offsets with their metadata."""

from __future__ import annotations

from bisect import bisect_left
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from streamer.kafka.metadata import Identity, Marks
from streamer.testing.model_journal import Attempt, Channel, JournalTopic

if TYPE_CHECKING:
    from streamer.testing.model_opening import Opening

VENOM = 0.008
"""The share of messages that take down whoever runs them, where there are any."""
STEPS = (1, 1, 1, 1, 2, 2, 3, 4)
"""How many paid steps tasks have."""
_NOTHING: frozenset[Attempt] = frozenset()


class Message:
    """A message of the input log, what became of it, and what it has done."""

    __slots__ = (
        "begun",
        "crashes",
        "key",
        "offset",
        "paid",
        "poison",
        "promised",
        "results",
        "steps",
        "unjust",
    )

    def __init__(self, offset: int, key: bytes | None, *, poison: bool = False, steps: int = 1) -> None:
        self.offset = offset
        self.key = key
        self.poison = poison
        self.steps = steps
        self.paid = self.promised = _NOTHING
        """Its calls, and those whose answers were durable for an owner whose claim held."""
        self.results = 0
        self.begun = False
        self.crashes = 0
        """How many workers it took down, as far as they were seen to crash."""
        self.unjust = 0
        """How often it was alone on trial when its worker was killed from outside, or cut off."""


class Log:
    """One partition of one incarnation of the topic: messages in the order of offsets, with gaps anywhere."""

    def __init__(self, start: int, random: Random, keys: int, venom: float = 0.0) -> None:
        self.random = random.random
        self.venom = venom
        self.keys = [None, *(b"key-%d" % number for number in range(keys))]
        self.start = start
        self.end = start
        self.messages: list[Message] = []
        self.offsets: list[int] = []
        self.published: dict[bytes, int] = {}
        """The last offset of each key with a result that was committed with it."""
        self._answered = 0

    def produce(self, count: int, *, dense: bool = False) -> None:
        """Append messages and, unless `dense`, keys and the causes of gaps, also behind the last."""
        random = self.random
        keys = self.keys[:1] if dense else self.keys
        for _ in range(count):
            poison = not dense and self.venom > 0 and random() < self.venom
            steps = 1 if dense else STEPS[int(random() * len(STEPS))]
            key = keys[int(random() * len(keys))]
            self.messages.append(Message(self.end, key, poison=poison, steps=steps))
            self.offsets.append(self.end)
            self.end += 1
            if not dense and random() < 0.25:
                # Control records take one offset; an aborted transaction or compaction, any number.
                self.end += 1 if random() < 0.6 else int(random() * 40)

    def index(self, offset: int) -> int:
        """Of the first message at or above `offset`."""
        return bisect_left(self.offsets, offset)

    def at(self, offset: int) -> Message | None:
        index = self.index(offset)
        found = index < len(self.offsets) and self.offsets[index] == offset
        return self.messages[index] if found else None

    def seam(self, index: int) -> int:
        """How far a consumer that has read the messages below `index` may say that it is."""
        return self.offsets[index] if index < len(self.offsets) else self.end

    @property
    def lowest_unanswered(self) -> int:
        messages = self.messages
        while self._answered < len(messages) and messages[self._answered].results:
            self._answered += 1
        return self.seam(self._answered)


class Committed(NamedTuple):
    """What the broker holds for one partition, and what the model knows that it says."""

    offset: int
    text: str
    finished: frozenset[int]
    identity: Identity
    nonce: bytes
    marks: Marks
    channel: Channel
    damaged: bool = False


class Broker:
    """One topic: its logs, its committed offsets and its identity."""

    topic = "tasks"

    def __init__(self, random: Random, partitions: int, keys: int, poisonous: bool) -> None:
        self.random = random
        self.keys = keys
        self.venom = venom = VENOM if poisonous else 0.0
        self.identity = Identity("cluster", "topic")
        self.logs = [Log(0, random, keys, venom) for _ in range(partitions)]
        self.committed: list[Committed | None] = [None] * partitions
        self.epochs = [0] * partitions
        """Of the transactional producers: each new one fences off those before."""
        self.journals = [JournalTopic() for _ in range(partitions)]
        self.answers = 0
        """To tell them apart."""

    def claimed(self, opening: Opening) -> bool:
        """Whether the group knows no other owner: it has committed, and nobody else has opened it, or is to."""
        number = opening.partition.number
        held = self.committed[number]
        if held is None or held.nonce != opening.nonce or opening.deposed or opening.closed:
            return False
        return opening.epoch == self.epochs[number]

    def recreate(self) -> None:
        """Make the topic anew under its old name; the committed offsets stay, as they do behind a mirror."""
        self.identity = Identity(self.identity.cluster_id, f"topic-{self.random.random()}")
        starts = [
            held.offset if held else log.end for held, log in zip(self.committed, self.logs, strict=True)
        ]
        self.logs = [Log(start, self.random, self.keys, self.venom) for start in starts]

    def damage(self, number: int) -> None:
        """Do to a commit what mirrors, tools and strangers do: only its offset may be believed then."""
        held = self.committed[number]
        if held is None:
            return
        text, offset = held.text, held.offset
        kind = int(self.random.random() * 6)
        at = int(self.random.random() * max(1, len(text) - 4))
        if not text or kind == 0 or (kind == 1 and offset == 0):
            text = ""
        elif kind == 1:
            offset -= 1 + int(self.random.random() * min(offset, 5))
        elif kind == 2:
            text = text[:at]
        elif kind == 3:
            if held.damaged:
                return  # the same once more would mend it
            text = text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :]
        elif kind == 4:
            text = "AQAAAYm" + text[7:]
        else:
            self.identity = Identity(f"cluster-{self.random.random()}", self.identity.topic_id)
        self.committed[number] = held._replace(
            offset=offset, text=text, finished=frozenset(), nonce=b"", damaged=True
        )
