"""Which dead letters were put back already: remembered beside the offset that a redrive's group commits."""

from __future__ import annotations

import re
import zlib
from base64 import b85decode, b85encode

LIMIT = 4_096
"""Characters that a broker keeps beside a committed offset: a bit for each of 24,000 offsets, or of far more in runs."""
FORM = re.compile(r"streamer-redriven 1 (\S+) (\d+) (?:(\d+):(\S+))?")


class Redriven:
    """What is done and what is left of one partition's dead letters.

    Every offset below ``end`` that is not in ``left`` is done: put back, or no dead letter at all. What filters
    passed over is left, so that a later redrive with other filters finds it.
    """

    def __init__(self, end: int, left: set[int] | None = None) -> None:
        self.end = end
        self.left = left or set()

    @property
    def frontier(self) -> int:
        """The lowest offset that is left."""
        return min(self.left, default=self.end)

    def is_left(self, offset: int) -> bool:
        """Whether it still is to be put back."""
        return offset >= self.end or offset in self.left

    def leave(self, offset: int) -> None:
        """It was looked at and stays."""
        self.left.add(offset)
        self.end = max(self.end, offset + 1)

    def done(self, offset: int) -> None:
        """It was put back."""
        self.left.discard(offset)
        self.end = max(self.end, offset + 1)

    def forget_below(self, beginning: int) -> None:
        """What the topic no longer has is not left either."""
        self.left = {offset for offset in self.left if offset >= beginning}
        self.end = max(self.end, beginning)

    def copy(self) -> Redriven:
        return Redriven(self.end, set(self.left))

    def encode(self, topic_id: str) -> str | None:
        """As a commit's metadata; None where there is more to remember than fits."""
        packed = ""
        first = self.frontier
        if self.left:
            bits = bytearray(-(-(self.end - first) // 8))
            for offset in self.left:
                byte, bit = divmod(offset - first, 8)
                bits[byte] |= 1 << bit
            packed = f"{self.end - first}:{b85encode(zlib.compress(bits, 9)).decode()}"
        text = f"streamer-redriven 1 {topic_id or '-'} {first} {packed}"
        return text if len(text) <= LIMIT else None


def restored(committed: int, metadata: str, topic_id: str) -> Redriven | None:
    """What a group has committed; None where it was committed for another topic of this name.

    Metadata that is not ours, or not of this offset, says nothing: somebody moved the group, so all above is left.
    """
    found = FORM.fullmatch(metadata)
    if found is None:
        return Redriven(committed)
    if found[1] != (topic_id or "-"):
        return None
    if int(found[2]) != committed or found[4] is None:
        return Redriven(committed)
    try:
        bits = zlib.decompress(b85decode(found[4]))
    except (ValueError, zlib.error):
        return Redriven(committed)
    left = {
        committed + 8 * byte + bit
        for byte, number in enumerate(bits)
        if number
        for bit in range(8)
        if number >> bit & 1
    }
    return Redriven(committed + int(found[3]), left)
