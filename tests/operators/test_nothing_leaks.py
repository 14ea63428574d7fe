"""nothing_leaks: when an operator ends, in whatever way, what it started has ended too."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import reactivex as rx

from streamer import batched, consensus, fallback, map, parallel, race, retry, sequence, single, timeout
from streamer.operand import as_single
from streamer.operators.deadline import deadline
from streamer.operators.hedging import Hedging
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from tests.operators.doubles import Work, cancelled_after, now, others, passing


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


async def slowly(*items: Any) -> Any:
    for item in items:
        await asyncio.sleep(0.5)
        yield item


def called(work: Work) -> Any:
    return Registry().declare(lambda request: work(), {"name": "model", "concurrency": 2})("x")


WRAPPED: dict[str, Callable[[Work], Any]] = {
    "callable": lambda work: as_single(work),
    "call": called,
    "clocked call": lambda work: called(work).timeout(3600),
    "batched": lambda work: batched(lambda items: parallel(*(work for _ in items)), 1, 0)("x"),
    "function": lambda work: FunctionTarget(work.__call__, "work", concurrency=2)(),
    "map": lambda work: as_single(work).map(lambda value: value),
    "flat_map": lambda work: as_single(lambda: 1).flat_map(lambda _: work()),
    "single": lambda work: single(rx.defer(lambda _: as_single(work))),
    "timeout": lambda work: timeout(3600)(work),
    "deadline": lambda work: deadline(tomorrow())(work),
    "retry": lambda work: retry(2)(work),
    "race": lambda work: race(work, Work(99, error=passing())),
    "hedge": lambda work: race(work, Work(99, error=passing()), hedge_delay=1, hedging=Hedging()),
    "fallback": lambda work: fallback(Work(1, error=passing()), work),
    "parallel": lambda work: parallel(work, Work(1)),
    "fail fast": lambda work: parallel(work, Work(99), work, concurrency=2, fail_fast=True),
    "map over items": lambda work: map(lambda each: each(), [work, Work(1), work], concurrency=2),
    "map over an iterator": lambda work: map(lambda each: each(), iter([Work(1), work, work]), concurrency=2),
    "map as it comes": lambda work: map(lambda each: each(), slowly(Work(1), work), fail_fast=True),
    "sequence": lambda work: sequence(Work(1), work),
    "consensus": lambda work: consensus(work, Work(1, "answer")),
    "all": lambda work: sequence(
        fallback(race(timeout(60)(retry(2)(parallel(work, called(work)))), Work(99, error=passing())))
    ),
}
OPERATORS = pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)


@OPERATORS
async def test_after_a_success(wrap):
    work = Work(5, "answer")
    await wrap(work)
    assert not others()
    assert work.alive == 0


@OPERATORS
async def test_after_a_failure(wrap):
    work = Work(5, error=ValueError("no"))
    with pytest.raises(Exception):  # noqa: B017
        await wrap(work)
    assert not others()
    assert work.alive == 0


@OPERATORS
async def test_after_a_timeout(wrap):
    work = Work(50, cleanup=0.5)
    with pytest.raises(TimeoutError):
        await timeout(10)(wrap(work).map(str))
    assert now() <= 10.5
    assert not others()
    assert (work.cancelled, work.alive) == (len(work.began), 0)


@OPERATORS
@pytest.mark.parametrize("seconds", [0, 1, 3])
async def test_after_a_cancellation_from_outside(wrap, seconds):
    work = Work(50, cleanup=0.5)
    await cancelled_after(seconds, wrap(work))
    assert not others()
    assert work.alive == 0
    began = len(work.began)
    await asyncio.sleep(1000)
    assert len(work.began) == began


@OPERATORS
async def test_after_a_second_cancellation_too(wrap):
    """Which comes while the first is cleaned up after."""
    work = Work(50, cleanup=0.5)
    task = asyncio.ensure_future(wrap(work).started())
    await asyncio.sleep(3)
    task.cancel()
    await asyncio.sleep(0.25)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(1)
    assert not others()
    assert work.alive == 0


@OPERATORS
async def test_after_a_subscription_is_disposed_of(wrap):
    work = Work(50, cleanup=0.5)
    told = []
    subscription = wrap(work).subscribe(told.append, told.append, lambda: told.append("completed"))
    await asyncio.sleep(3)
    subscription.dispose()
    await asyncio.sleep(1)
    assert told == []
    assert not others()
    assert work.alive == 0
