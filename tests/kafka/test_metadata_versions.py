"""What version 1 wrote beside committed offsets is understood, as long as it is the version before."""

import json
from pathlib import Path

import pytest

from streamer.kafka.metadata import Identity, decode

RECORDED = json.loads((Path(__file__).parent / "recorded" / "metadata-v1.json").read_text())


@pytest.mark.parametrize("commit", RECORDED["commits"], ids=lambda commit: commit["shape"])
def test_what_version_one_wrote_is_read(commit):
    """Texts recorded from it, with what they meant."""
    identity = Identity(RECORDED["cluster"], RECORDED["topic"])
    restored = decode(commit["text"], identity, commit["frontier"])
    assert restored.reason is None
    assert restored.frontier == commit["frontier"]
    assert [list(interval) for interval in restored.finished] == commit["finished"]
    assert restored.nonce == bytes.fromhex(RECORDED["nonce"])
