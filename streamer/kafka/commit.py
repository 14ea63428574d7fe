"""What is to be committed for one partition."""

from typing import NamedTuple

from streamer.kafka.metadata import Identity, Marks, encode


class Commit(NamedTuple):
    """A partition's state at one moment, sampled once: offset and metadata can't come from two moments.

    `frontier` is the offset to commit. Everything between it and `end` is finished but `frontier` itself and
    `holes`, which are in order. `nonce` names the opening that it was sampled from, `finished` counts what that
    opening had finished by then, ``resumed`` how often it had come back.
    """

    topic: str
    number: int
    nonce: bytes
    frontier: int
    end: int
    holes: tuple[int, ...]
    finished: int
    marks: Marks
    resumed: int = 0

    def metadata(self, identity: Identity) -> str:
        return encode(identity, self.frontier, self.end, self.holes, self.nonce, self.marks)
