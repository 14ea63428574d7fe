"""X06: succeeded, failed, timed out, cancelled and skipped add up to the total, and only successes are successes."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer import Pool, Status, consensus, fallback, map, parallel, race, sequence, timeout
from streamer.errors import Category, ChildrenFailed
from streamer.operand import as_single
from streamer.testing.clock import run
from tests.acceptance.topology import call
from tests.operators.doubles import Work, cancels_itself, now, others, result_of

pytestmark = pytest.mark.virtual_time

ENDS = {
    "succeeded": lambda: Work(0.1, None),
    "failed": lambda: Work(1, error=RuntimeError("b")),
    "timed_out": lambda: timeout(0.2)(Work(60)),
    "cancelled": lambda: cancels_itself,
    "slow": lambda: Work(60, "late"),
}


def accounted(result):
    """Every child in exactly one of the five, none of them a success that is not one."""
    children = result.each_child()
    assert sum(result.counts.values()) == len(children) == result.successes + result.failures
    assert len(result.successful_values()) == result.counts[Status.SUCCEEDED] == result.successes
    assert all((child.error is None) == child.succeeded for child in children)
    assert result.all_succeeded == (result.succeeded and not result.failures)
    return result.counts


async def test_x06_all_five_at_once():
    """One that failed has others cancelled in flight, and those that had not begun skipped."""
    works = [ENDS[end]() for end in ("succeeded", "timed_out", "cancelled", "failed", "slow", "slow", "slow")]
    result = await result_of(parallel(*works, concurrency=3, require=5, fail_fast=True))
    assert accounted(result) == {"succeeded": 1, "failed": 1, "timed_out": 1, "cancelled": 3, "skipped": 1}
    assert result.successful_values() == [None], "the task that returned None, and no other"
    assert not result.all_succeeded
    assert now() == 1


async def test_x06_skipped_ones_are_no_successes():
    """Those that a failure kept from beginning have neither a value nor no error."""
    works = [Work(1, error=RuntimeError("b")), *(Work(1, "never") for _ in range(4))]
    result = await result_of(parallel(*works, concurrency=1, fail_fast=True))
    assert [child.status for child in result.children] == ["failed", *["skipped"] * 4]
    assert result.successful_values() == []
    for child in result.children[1:]:
        assert (child.error.category, child.attempts) == (Category.DEPENDENCY_FAILED, ())
        assert child.error.message == "A sibling failed before it began."


async def test_x06_every_one_of_them_is_told_of():
    """Progress comes to its end, whatever became of them."""
    told, ended = [], []
    works = [ENDS[end]() for end in ("succeeded", "failed", "slow", "slow")]
    with pytest.raises(ChildrenFailed):
        await parallel(
            *works,
            concurrency=3,
            fail_fast=True,
            on_progress=lambda *said: told.append(said),
            on_complete=lambda value, key: ended.append(key),
            on_error=lambda error, key: ended.append(key),
        )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(ended) == [0, 1, 2, 3]


async def test_x06_losers_of_a_race_are_counted_though_they_swallow_their_cancellation():
    async def swallows():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "late"

    result = await result_of(race(Work(1, "first"), swallows, swallows))
    counts = accounted(result)
    assert (counts["succeeded"] + counts["cancelled"], sum(counts.values())) == (3, 3)
    assert result.value == "first"


async def test_x06_what_is_required_decides_and_not_where_it_runs():
    """Side by side and one after another judge by one policy."""
    for require, status in (("all", "failed"), ("any", "succeeded"), ("none", "succeeded"), (1, "succeeded")):
        works = [Work(1, "a"), Work(1, error=RuntimeError("b"))]
        for combined in (parallel(*works, require=require), map(lambda w: w(), works, require=require)):
            result = await result_of(combined)
            assert (result.status, result.value) == (status, ["a", None])
            accounted(result)
    none = await result_of(parallel(Work(1, error=RuntimeError("b")), require="any"))
    assert none.status == "failed", "any of none is no success"


COMBINED = {
    "parallel": lambda works, fail_fast, limit: parallel(*works, fail_fast=fail_fast, concurrency=limit),
    "map": lambda works, fail_fast, limit: map(as_single, works, fail_fast=fail_fast, concurrency=limit),
    "map by batches": lambda works, fail_fast, limit: map(
        as_single, works, fail_fast=fail_fast, batch_size=limit
    ),
    "sequence": lambda works, fail_fast, _: sequence(*works, fail_fast=fail_fast),
    "race": lambda works, *_: race(*works),
    "fallback": lambda works, *_: fallback(*works),
    "consensus": lambda works, _, limit: consensus(*works, concurrency=limit),
}


@settings(deadline=None)
@given(
    st.sampled_from(sorted(COMBINED)),
    st.lists(st.sampled_from(sorted(ENDS)), min_size=2, max_size=8),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, 0.15, 0.5, 3]),
)
def test_x06_whatever_becomes_of_them_the_counts_add_up(what, ends, fail_fast, limit, seconds):
    """To the number of children, or to none where nothing was begun."""

    async def story():
        combined = COMBINED[what]([ENDS[end]() for end in ends], fail_fast, limit)
        result = await result_of(combined if seconds is None else timeout(seconds)(combined))
        assert sum(accounted(result).values()) == len(ends)
        assert not others()

    run(story())


async def test_x06_of_a_pool():
    async with Pool(3) as pool:
        futures = [
            await pool.submit(ENDS[end]()) for end in ("succeeded", "failed", "timed_out", "cancelled")
        ]
        running, queued = [await pool.submit(Work(60)) for _ in range(3)], [await pool.submit(Work(1))]
        await asyncio.sleep(2)
        stats = pool.stats
        assert (stats.submitted, stats.finished, stats.active, stats.queued) == (8, 4, 3, 1)
        await pool.shutdown(now=True)
    stats = pool.stats
    assert (stats.succeeded, stats.failed, stats.timed_out, stats.cancelled) == (1, 1, 1, 5)
    assert stats.submitted == stats.finished == 8
    assert [(await f).status for f in futures] == ["succeeded", "failed", "timed_out", "cancelled"]
    assert [(await f).error.category for f in running + queued] == [Category.CANCELLED] * 4


WIRE = {
    "x06-all-five": {
        "kind": "parallel",
        "fail_fast": True,
        "require": 5,
        "concurrency": 3,
        "tasks": [
            call("say", None),
            call("say", "late", 9, timeout=0.02),
            call("cancel_itself"),
            call("fail", "b", 0.3),
            *[call("say", "late", 9)] * 3,
        ],
    }
}


async def test_x06_on_the_wire(answer):
    result = await answer("x06-all-five")
    statuses = [child["status"] for child in result["children"]]
    assert statuses[:4] == ["succeeded", "timed_out", "cancelled", "failed"]
    assert statuses[4:] == ["cancelled", "cancelled", "skipped"]
    assert result["value"] == [None] * 7
    assert all("error" in child and child["error"] for child in result["children"][1:])
