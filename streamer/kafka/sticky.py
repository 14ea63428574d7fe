"""The sticky assignor, as it was meant: with a state of its own for each consumer, and its generation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor


def assignors(generation: Callable[[], int]) -> tuple[type[Any], ...]:
    """What a consumer offers its group: to keep what everybody has, and nothing beside it.

    Of several aiokafka joins once for each, and the group rebalances each time. Its own sticky one keeps what was
    assigned on the class, where consumers of one process overwrite each other's, and never sets the generation,
    without which an assignment that is long past counts as much as the last one.
    """

    class Sticky(StickyPartitionAssignor):  # type: ignore[misc]
        @classmethod
        def on_assignment(cls, assignment: Any) -> None:
            super().on_assignment(assignment)
            cls.generation = generation()

    return (Sticky,)
