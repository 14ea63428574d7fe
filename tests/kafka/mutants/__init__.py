"""Mistakes for the simulator to find, by what they are planted in."""

from tests.kafka.mutants import beginnings, commits, journals, lanes, ledgers, partitions
from tests.kafka.mutants.planting import MUTANTS

__all__ = ["MUTANTS", "beginnings", "commits", "journals", "lanes", "ledgers", "partitions"]
