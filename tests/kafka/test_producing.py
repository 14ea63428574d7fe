"""Producers that are given up with something still under way."""

import asyncio
import gc

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import InvalidProducerEpoch

from streamer.kafka.producing import stop


@pytest.mark.parametrize("failed_before", [False, True])
async def test_what_becomes_of_a_producer_that_was_given_up_is_no_error_of_anybody(failed_before):
    """A transaction timed out, and the broker tells the old producer that a new one has taken its place."""
    unheard = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unheard.append(context["message"]))
    producer = AIOKafkaProducer(bootstrap_servers="nowhere:9092", transactional_id="id")
    transaction, accumulator = producer._txn_manager, producer._message_accumulator
    transaction.set_pid_and_epoch(1, 1)
    transaction.begin_transaction()
    waiting = [
        await accumulator.add_batch(accumulator.create_builder(), TopicPartition("out", number), 1)
        for number in range(2)
    ]
    waiting.append(asyncio.shield(transaction.wait_for_transaction_end()))
    if not failed_before:
        waiting.append(asyncio.shield(transaction.add_offsets_to_txn({}, "group")))
    for waiter in waiting:
        waiter.cancel()
    await asyncio.wait(waiting)
    if failed_before:
        transaction.error_transaction(InvalidProducerEpoch())
    await stop(producer, 0.01)
    accumulator.fail_all(InvalidProducerEpoch())
    transaction.fatal_error(InvalidProducerEpoch())
    del producer, transaction, accumulator, waiting, waiter
    await asyncio.sleep(0)
    gc.collect()
    assert unheard == []
