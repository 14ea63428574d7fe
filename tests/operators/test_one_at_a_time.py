"""ENABLE_PARALLEL_STEPS: with ``false`` what can run side by side runs one at a time."""

import pytest

from streamer import Engine, Topology, consensus, map, parallel
from streamer.errors import SettingsError
from tests.operators.doubles import Work, now


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(None, 1), ("", 1), ("true", 1), ("True", 1), ("false", 3), ("FALSE", 3), (" false ", 3)],
)
async def test_false_means_one_after_another(monkeypatch, said, seconds):
    monkeypatch.delenv("ENABLE_PARALLEL_STEPS", raising=False)
    if said is not None:
        monkeypatch.setenv("ENABLE_PARALLEL_STEPS", said)
    await parallel(*[Work(1)] * 3)
    assert now() == seconds
    await map(lambda _: Work(1)(), range(3))
    assert now() == 2 * seconds
    await consensus(*[Work(1, "same")] * 3)
    assert now() == 3 * seconds


@pytest.mark.parametrize(
    "made",
    [parallel, lambda: map(str, []), Engine, lambda: Topology("a", "b").engine()],
    ids=["parallel", "map", "Engine", "Topology"],
)
def test_another_word_is_refused_by_name(monkeypatch, made):
    monkeypatch.setenv("ENABLE_PARALLEL_STEPS", "maybe")
    with pytest.raises(SettingsError, match="ENABLE_PARALLEL_STEPS: Expected true or false, not 'maybe'"):
        made()
