"""deadline: not after an instant."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from streamer import Status, parallel, retry
from streamer.errors import Category, TimedOut
from streamer.operators.deadline import deadline
from streamer.providers.registry import Registry
from tests.operators.doubles import Work, cancelled_after, now, others, passing, result_of

BEGAN = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _time_of_day(monkeypatch):
    """It goes with the loop's clock."""
    monkeypatch.setattr("streamer.scope.time.time", lambda: BEGAN + now())


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(BEGAN, UTC) + timedelta(seconds=seconds)


async def over(single) -> None:
    with pytest.raises(TimedOut) as caught:
        await single
    assert caught.value.category is Category.DEADLINE


async def test_it_ends_what_still_runs_then():
    work = Work(9, cleanup=0.5)
    await over(deadline(at(2))(work))
    assert (now(), work.cancelled, work.alive) == (2.5, 1, 0)
    assert not others()


async def test_it_leaves_alone_what_is_in_time():
    assert await deadline(at(2))(Work(1, "answer")) == "answer"


@pytest.mark.parametrize("seconds", [0, -1, -1e6])
async def test_when_it_has_passed_nothing_is_called(seconds):
    work = Work()
    await over(deadline(at(seconds))(work))
    assert work.began == []


async def test_it_is_the_same_instant_wherever_it_begins():
    """Not so many seconds from then on."""
    await asyncio.sleep(3)
    await over(deadline(at(5))(Work(9)))
    assert now() == 5


async def test_it_bounds_retries_too():
    work = Work(1, error=passing())
    again = retry(9, initial_delay=1, backoff="fixed")
    await over(deadline(at(4.5))(again(work)))
    assert len(work.began) <= 3
    assert now() <= 4.5


async def test_it_bounds_the_wait_for_a_slot():
    target = Registry().declare(lambda request: Work(3)(), {"name": "model", "concurrency": 1})
    first = asyncio.ensure_future(target("x").started())
    await asyncio.sleep(0)
    await over(deadline(at(2))(target("x")))
    await first
    assert target.slots.active == 0


async def test_the_earliest_counts():
    await over(deadline(at(5))(deadline(at(2))(Work(9))))
    assert now() == 2


async def test_of_a_child_it_is_the_childs_only():
    result = await result_of(parallel(deadline(at(2))(Work(9)), Work(5, "b"), require="any"))
    assert result.value == [None, "b"]
    assert [child.status for child in result.each_child()] == [Status.TIMED_OUT, Status.SUCCEEDED]


async def test_cancelled_from_outside_it_cancels_what_it_runs():
    work = Work(9)
    await cancelled_after(1, deadline(at(5))(work))
    assert work.cancelled == 1
    assert not others()


def test_an_instant_without_an_offset_is_refused():
    with pytest.raises(ValueError, match="offset"):
        deadline(datetime(2026, 1, 1))
