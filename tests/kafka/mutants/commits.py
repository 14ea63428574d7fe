"""Mistakes of what a commit says, writes, and is read to mean."""

from streamer.kafka import metadata
from streamer.kafka.checkpoint import Checkpoint
from streamer.kafka.metadata import Identity
from tests.kafka.mutants.planting import mutant


@mutant("checkpoint")
class CleanByAnyAcknowledgement(Checkpoint):
    """The acknowledgement of an older commit clears what was finished since it was sampled."""

    def acknowledge(self, commit):
        kept = super().acknowledge(commit)
        if kept:
            now = {"frontier": self.ledger.frontier, "finished": self.ledger.finished}
            self.acknowledged = self.acknowledged._replace(**now)
        return kept


@mutant("checkpoint")
class AcknowledgedByAnotherOpening(Checkpoint):
    """The acknowledgement of a commit from before a rebalance counts after it."""

    def acknowledge(self, commit):
        return super().acknowledge(commit._replace(nonce=self.nonce))


@mutant("checkpoint")
class CleanByFrontier(Checkpoint):
    """Only a new frontier is worth a commit: what finishes above it waits."""

    def sample(self, **options):
        return None if self.ledger.frontier == self.frontier else super().sample(**options)


@mutant("encode")
def bitmap_against_another_base(commit, identity):
    """The holes are counted from another offset than the one that is committed."""
    holes = tuple(hole + 1 for hole in commit.holes if hole + 1 < commit.end)
    return metadata.encode(identity, commit.frontier, commit.end, holes, commit.nonce, commit.marks)


@mutant("encode")
def the_last_hole_dropped(commit, identity):
    """One hole too few is written down."""
    return metadata.encode(
        identity, commit.frontier, commit.end, commit.holes[:-1], commit.nonce, commit.marks
    )


@mutant("encode")
def cut_to_fit(commit, identity):
    """Metadata that is long is cut off, like any other string."""
    return commit.metadata(identity)[:1_000]


@mutant("decode")
def base_off_by_one(text, identity, committed):
    """The finished ones are read against another base than the one they were written against."""
    restored = metadata.decode(text, identity, committed)
    return restored._replace(finished=tuple((start + 1, stop + 1) for start, stop in restored.finished))


@mutant("decode")
def metadata_of_another_topic(text, identity, committed):
    """The finished ones of a topic that was deleted are skipped in the one that took its name."""
    return _anyhow(text, identity, committed, lambda digests: (identity.digests[0], digests[1]))


@mutant("decode")
def metadata_of_another_cluster(text, identity, committed):
    """The finished ones of a mirrored topic are skipped in its mirror."""
    return _anyhow(text, identity, committed, lambda digests: (digests[0], identity.digests[1]))


@mutant("decode")
def another_frontier_accepted(text, identity, committed):
    """After the offset was set back, the map is believed all the same."""
    restored = metadata.decode(text, identity, committed)
    if restored.reason and "committed" in restored.reason:
        written = int(restored.reason.split(",")[0].split()[-1])
        return metadata.decode(text, identity, written)._replace(frontier=committed)
    return restored


@mutant("decode")
def altered_metadata_accepted(text, identity, committed):
    """Nobody looks at the checksum."""
    restored = metadata.decode(text, identity, committed)
    if restored.reason and "altered" in restored.reason:
        try:
            body = metadata.a2b_base64(text[4:])[:-4]
        except ValueError:
            return restored
        checked = body + metadata.crc32(body).to_bytes(4)
        return metadata.decode(text[:4] + metadata.b2a_base64(checked).decode()[:-1], identity, committed)
    return restored


@mutant("decode")
def any_doubt_means_the_beginning(text, identity, committed):
    """What can't be believed is taken for a group without offsets."""
    restored = metadata.decode(text, identity, committed)
    return restored._replace(frontier=0) if restored.reason else restored


class _Unchecked:
    """What an identity looks like to a reader that compares less than it should."""

    def __init__(self, digests: tuple[bytes, bytes]) -> None:
        self.digests = digests


def _anyhow(text: str, identity: Identity, committed: int, matching) -> metadata.Restored:
    restored = metadata.decode(text, identity, committed)
    if restored.reason and "another" in restored.reason:
        body = metadata.a2b_base64(text[4:])
        return metadata.decode(text, _Unchecked(matching((body[:8], body[8:16]))), committed)
    return restored


@mutant("checkpoint")
class TrialCountsAsWritten(Checkpoint):
    """A suspect begins before any commit names it."""

    def tells(self, trial):
        return True


@mutant("encode")
def accused_in_anothers_place(commit, identity):
    """A trial that is over accuses whoever is at the frontier."""
    trial = commit.marks.trial
    if trial is not None:
        trial = trial._replace(offset=max(trial.offset, commit.frontier))
    return commit._replace(marks=commit.marks._replace(trial=trial)).metadata(identity)
