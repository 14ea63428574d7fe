"""The simulator finds every mistake that is planted in the objects it drives.

A mutant that is not found means that the simulator does not check what its docstring says.
"""

import pytest

from streamer.testing.simulator import Violation, run
from tests.kafka.mutants import MUTANTS

SEEDS = (1, 2, 5, 6, 8, 13, 34, 0, 29, 32)
STEPS = 5_000


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_is_found(name: str) -> None:
    for seed in SEEDS:
        try:
            run(seed, STEPS, MUTANTS[name])
        except Violation as violation:
            if violation.invariant != "error":  # it must be seen by a check, not by falling over
                return
    pytest.fail(f"{name} was not found in {len(SEEDS)} runs of {STEPS} steps")


@pytest.mark.parametrize("seed", SEEDS)
def test_the_objects_themselves_pass_the_same_runs(seed: int) -> None:
    assert run(seed, STEPS).commits
