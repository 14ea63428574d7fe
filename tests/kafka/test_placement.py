"""To which partition of its topic a result goes, as topics grow."""

from types import SimpleNamespace

import pytest

from streamer.kafka.outlet import Outgoing
from streamer.kafka.placement import Placement


class Topics:
    """An input and an output, with as many partitions as a test says."""

    def __init__(self, given: int, taken: int) -> None:
        self.given = given
        self.taken = taken
        self.placement = Placement(lambda: self.given, lambda _: self.taken)

    def place(self, number: int, key: bytes | None) -> int:
        self.placement.forget()
        record = SimpleNamespace(partition=SimpleNamespace(number=number))
        return self.placement.place("results", Outgoing(record, key, b"", [], None))


def test_with_as_many_partitions_a_result_goes_beside_its_task():
    topics = Topics(4, 4)
    assert [topics.place(number, b"key") for number in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("key", [b"key", None])
@pytest.mark.parametrize("taken", [1, 4, 7])
def test_no_result_goes_to_a_partition_that_is_not_there(taken: int, key: bytes | None):
    """Whatever the input has grown to, and whether that is known yet or not."""
    for known in (1, 4, 7, 0):
        topics = Topics(known, taken)
        assert all(0 <= topics.place(number, key) < taken for number in range(9))


def test_a_grown_input_and_an_output_that_grows_after_it_are_beside_each_other_again():
    topics = Topics(4, 4)
    topics.given = 6
    assert topics.place(1, b"key") == topics.place(3, b"key")
    topics.taken = 6
    assert [topics.place(number, b"key") for number in range(6)] == list(range(6))
