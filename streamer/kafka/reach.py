"""How far records of a partition may begin: whatever does is within what a commit has promised."""

from streamer.kafka.record import ANSWERED, PARKED, PUBLISHING, RUNNING, Record

UNDER_WAY = frozenset({RUNNING, PARKED, ANSWERED, PUBLISHING})


class Reach:
    """How far it goes, and how far beyond that the next commit is to promise.

    Invariants:

    * Nothing begins at or above ``acknowledged``: whatever a crash may have interrupted is unfinished and below it.
    * ``begun`` is one above the highest offset that was begun, or asked for leave to.
    * No commit promises less than the one before, for that may have been begun by now; but for the last one of who
      leaves, which promises no more than what is under way.
    """

    __slots__ = ("_pace", "_paced_from", "acknowledged", "began", "begun", "headroom")

    def __init__(self, position: int, headroom: int) -> None:
        self.acknowledged = self.begun = self._paced_from = position
        self._pace = 0
        self.headroom = headroom
        self.began = False
        """Something begins, or has begun, since it was opened."""

    @property
    def ample(self) -> bool:
        """Whether there is room enough for what begins before the next commit."""
        return self.acknowledged - self.begun >= self.headroom // 2

    def extend(self, offset: int) -> None:
        """It begins, or is to be within the next commit's reach."""
        self.began = True
        if offset >= self.begun:
            self.begun = offset + 1

    def note_pace(self) -> None:
        """To be called at even intervals, not at commits: those that are hurried would make any pace seem slow."""
        self._pace, self._paced_from = self.begun - self._paced_from, self.begun

    def after(self, leaving: bool, frontier: int, below: int, unfinished: dict[int, Record]) -> int:
        """What a commit is to promise; what an owner before may have begun ``below`` is part of that."""
        if leaving:
            under_way = (r.offset for r in reversed(unfinished.values()) if r.state in UNDER_WAY)
            return max(next(under_way, frontier - 1) + 1, below)
        # Twice the pace; never less than what was promised: it may be begun by now.
        ahead = max(self.headroom, 2 * max(self._pace, self.begun - self._paced_from))
        return max(self.begun + ahead, self.acknowledged, below)

    def acknowledge(self, reach: int) -> None:
        """The broker has it."""
        self.acknowledged = reach

    def fall_back(self, frontier: int) -> None:
        """Nobody knows what counts: what the leaving commit promised does, perhaps, without its acknowledgement."""
        self.acknowledged = frontier
