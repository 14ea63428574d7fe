"""When partitions that were added to an input may be read, in key order."""

from aiokafka import TopicPartition

from streamer.kafka.growth import left

ENDS = {TopicPartition("tasks", 0): 10, TopicPartition("tasks", 1): 5}


def test_all_that_the_others_held_is_to_be_finished():
    assert left(ENDS, {TopicPartition("tasks", 0): 7, TopicPartition("tasks", 1): 5}) == 3


def test_what_came_to_them_since_is_not_waited_for():
    assert left(ENDS, {TopicPartition("tasks", 0): 100, TopicPartition("tasks", 1): 5}) == 0


def test_what_nobody_has_committed_is_not_finished():
    assert left(ENDS, {TopicPartition("tasks", 0): 10}) == 5
