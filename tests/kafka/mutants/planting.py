"""Registers mutants: each is one mistake of a factory, of the kind that has lost or repeated work in real systems."""

from streamer.kafka.partition import Partition
from streamer.testing.simulator import Factory

MUTANTS: dict[str, Factory] = {}


def mutant(kind: str):
    """Register the decorated class or function as the one mistake of a factory."""

    def plant(wrong):
        name = wrong.__name__
        if kind in ("ledger", "reach", "checkpoint"):
            wrong = type(name, (Partition,), {f"{kind}_type": wrong})
            MUTANTS[name] = Factory(partition=wrong)
        else:
            MUTANTS[name] = Factory(**{kind: wrong})
        return wrong

    return plant
