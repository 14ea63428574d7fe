"""Header names that are no UTF-8, in what a broker sends."""

from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder, _DefaultRecordBatchBuilderPy

from streamer.kafka.headers import Garbled
from streamer.kafka.tolerant import Fetched, Records

NONE, GZIP = 0, 1
TP = TopicPartition("tasks", 0)


class NoText(str):
    """A name as no client would write it."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"x\xff"


PLAIN, ODD = "name", NoText("odd")


def batch(first: int, names: Sequence[str], *, codec: int = NONE, producer: int = -1) -> bytes:
    """Records from an offset on, each with one header of such a name."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, producer >= 0, producer, 0, 0, 2**20)
    for number, name in enumerate(names):
        builder.append(
            number, 0, b"key %d" % (first + number), b"value" * 20, [(name, b"1"), ("\ufffd", None)]
        )
    data = bytearray(builder.build())
    data[:8] = first.to_bytes(8)  # the checksum leaves it out, for the broker sets it
    return bytes(data)


def read(data: bytes, offset: int = 0, aborted: list[tuple[int, int]] | None = None) -> list:
    records = Records(TP, Fetched(data), aborted, offset, None, None, True, READ_COMMITTED)
    return list(records)


@pytest.mark.parametrize("codec", [NONE, GZIP])
def test_every_record_is_read_once_and_in_order_wherever_the_odd_ones_are(codec: int):
    mixed = batch(3, [PLAIN, ODD, PLAIN, ODD], codec=codec)
    behind = batch(7, [ODD], codec=codec) + batch(8, [PLAIN], codec=codec)
    found = read(batch(0, [PLAIN] * 3, codec=codec) + mixed + behind)
    assert [(r.offset, r.key, r.value) for r in found] == [
        (at, b"key %d" % at, b"value" * 20) for at in range(9)
    ]
    assert [r.offset for r in found if isinstance(r.headers, Garbled)] == [4, 6, 7]
    assert found[4].headers == (("x\ufffd", b"1"), ("\ufffd", None))
    assert found[5].headers == (("name", b"1"), ("\ufffd", None))
    assert [r.offset for r in read(mixed + behind, offset=6)] == [6, 7, 8]


def test_what_was_aborted_stays_so():
    """Before and behind an odd one."""
    data = batch(0, [ODD], producer=7) + batch(1, [ODD], producer=8) + batch(2, [ODD], producer=7)
    assert [r.offset for r in read(data, aborted=[(7, 0)])] == [1]


def test_a_batch_that_is_really_broken_stays_an_error():
    data = bytearray(batch(0, [ODD]))
    data[-1] ^= 1
    with pytest.raises(CorruptRecordException):
        read(bytes(data))


def test_ordinary_records_are_read_by_the_clients_own_parser():
    builder = DefaultRecordBatchBuilder(2, NONE, 0, -1, 0, 0, 2**20)
    builder.append(0, 0, b"key", b"value", [("name", b"1")])
    (record,) = read(bytes(builder.build()))
    assert type(record.headers) is tuple
