"""Who keeps the event loop is named."""

import time

import pytest

import streamer
from streamer import Engine, parallel
from streamer.blocking import LONG, taken


def slow(task=None):
    time.sleep(LONG * 1.2)
    return "done"


@pytest.mark.parametrize(
    "plan",
    [lambda: parallel(slow, lambda: "quick"), lambda: streamer.map(slow, [1]), None],
    ids=["operator", "map", "topology"],
)
async def test_a_function_that_blocks_is_named_with_its_place(plan):
    taken()
    assert (await Engine(slow if plan is None else lambda _: plan()).run(None)).succeeded
    kept = taken()
    assert kept.name.startswith("slow (")
    assert "test_blocking.py:" in kept.name
    assert kept.seconds > LONG
    assert taken() is None


async def test_what_is_quick_or_waits_is_not():
    taken()
    await parallel(lambda: "quick", lambda: parallel("quick".upper))
    assert taken() is None
