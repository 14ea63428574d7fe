"""The objects that source and sink consult, through about a million steps of everything that can happen."""

from collections import Counter
from dataclasses import asdict

import pytest

from streamer.kafka.metadata import LIMIT
from streamer.testing.simulator import Factory, Report, Violation, run

SEEDS = range(100, 108)
STEPS = 125_000


@pytest.fixture(scope="module")
def seen() -> Counter[str]:
    """What all runs of this module went through, summed up."""
    return Counter()


def test_the_same_seed_gives_the_same_run() -> None:
    assert run(5, 1_000) == run(5, 1_000)
    assert run(5, 1_000) != run(6, 1_000)


def test_a_violation_names_the_invariant_the_seed_and_the_step() -> None:
    with pytest.raises(Violation) as caught:
        run(5, 2_000, Factory(encode=lambda commit, identity: "x" * 5_000))
    assert caught.value.invariant == "metadata"
    assert str(caught.value) == "metadata: 5000 characters"
    assert caught.value.__notes__[0].startswith("seed 5, step ")


# No marker: the million steps are part of every run of the tests.
@pytest.mark.parametrize("seed", SEEDS)
def test_every_invariant_holds_through_a_million_steps(seed: int, seen: Counter[str]) -> None:
    report: Report = run(seed, STEPS)
    assert report.results
    assert report.results >= report.messages
    assert report.longest <= LIMIT
    seen.update(asdict(report))


def test_the_million_steps_went_through_everything(seen: Counter[str]) -> None:
    """Otherwise the invariants hold because nothing happened to them."""
    if seen["steps"] < len(SEEDS) * STEPS:
        pytest.skip("only some of the runs were selected")
    assert seen["steps"] >= 1_000_000
    never = [name for name in asdict(Report(0, 0)) if not seen[name]]
    assert never == []
    assert seen["results"] > 120_000
    assert seen["crashes"] > 300
    assert seen["rebalances"] > 1_000
    assert seen["resumed"] > 300
    assert seen["transactions"] > 7_500
    assert seen["dead_letters"] > 20
    assert seen["journaled"] > 30_000
    assert seen["found"] > 5_000
    assert seen["recalled"] > 1_500
    assert seen["truncated"] > 10_000
