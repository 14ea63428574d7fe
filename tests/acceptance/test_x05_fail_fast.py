"""X05: fail_fast ends what is under way at once, keeps what was finished, and lets the failing one finish its retries."""

import pytest

from streamer import Status, map, parallel, retry, sequence, timeout
from streamer.errors import ChildrenFailed, TimedOut
from tests.acceptance.topology import call
from tests.operators.doubles import Script, Work, now, others, passing, result_of

pytestmark = pytest.mark.virtual_time

COMBINED = {
    "parallel": lambda works, **given: parallel(*works, **given),
    "parallel by name": lambda works, **given: parallel({str(n): w for n, w in enumerate(works)}, **given),
    "map": lambda works, **given: map(lambda work: work(), works, **given),
    "map over an iterator": lambda works, **given: map(lambda work: work(), iter(works), **given),
    "map by batches": lambda works, **given: map(lambda work: work(), works, batch_size=10, **given),
}
EACH = pytest.mark.parametrize("combine", COMBINED.values(), ids=COMBINED)


def works(error=None):
    return [Work(0.05, "early"), Work(0.1, error=error or RuntimeError("b")), Work(1), Work(1)]


def values(failure):
    return [*(failure.value.values() if isinstance(failure.value, dict) else failure.value)]


@EACH
async def test_x05_what_is_in_flight_is_cancelled_and_awaited(combine):
    """Slow siblings take a second; the call is over when the failure is, and they have ended."""
    error = RuntimeError("b")
    four = works(error)
    with pytest.raises(ChildrenFailed) as caught:
        await combine(four, fail_fast=True)
    assert now() == 0.1
    assert [work.cancelled for work in four] == [0, 0, 1, 1]
    assert [work.alive for work in four] == [0, 0, 0, 0]
    assert next(iter(caught.value.failures.values())) is error, "the cause comes first"
    assert values(caught.value) == ["early", None, None, None], "what was finished is kept"
    assert not others()


@EACH
async def test_x05_what_has_not_begun_never_does(combine):
    four = works()
    with pytest.raises(ChildrenFailed):
        await combine(four, fail_fast=True, concurrency=2)
    assert now() == 0.1
    assert [len(work.began) for work in four] == [1, 1, 1, 0]


@EACH
async def test_x05_it_is_off_unless_asked_for(combine):
    four = works()
    with pytest.raises(ChildrenFailed):
        await combine(four)
    assert now() == 1
    assert [work.cancelled for work in four] == [0, 0, 0, 0]


async def test_x05_each_call_says_for_itself():
    """The same tasks, both ways."""
    four = works()
    for fail_fast, seconds in ((True, 0.1), (False, 1.0), (True, 0.1)):
        began = now()
        with pytest.raises(ChildrenFailed):
            await parallel(*four, fail_fast=fail_fast)
        assert now() - began == pytest.approx(seconds)


@EACH
async def test_x05_the_retries_of_the_failing_one_come_first(combine):
    failing, sibling = Script(passing()), Work(100)
    again = retry(3, initial_delay=1, backoff="fixed")(failing)
    with pytest.raises(ChildrenFailed):
        await combine([lambda: again, sibling], fail_fast=True)
    assert (len(failing.began), len(sibling.began), sibling.cancelled, now()) == (3, 1, 1, 2)


@EACH
async def test_x05_one_that_a_retry_saves_stops_nobody(combine):
    again = retry(3, initial_delay=1, backoff="fixed")(Script(passing(), "saved"))
    value = await combine([lambda: again, Work(5, "slow")], fail_fast=True)
    assert [*(value.values() if isinstance(value, dict) else value)] == ["saved", "slow"]


@EACH
async def test_x05_a_timeout_is_a_failure_too(combine):
    late = timeout(0.1)(Work(60))
    with pytest.raises(ChildrenFailed) as caught:
        await combine([lambda: late, Work(1)], fail_fast=True)
    assert now() == 0.1
    assert isinstance(next(iter(caught.value.failures.values())), TimedOut)


async def test_x05_without_a_failure_it_changes_nothing():
    assert await parallel(Work(1, "a"), Work(2, "b"), fail_fast=True) == ["a", "b"]


async def test_x05_a_sequence_begins_nothing_more():
    """And its result still has all four, so that nobody counts two of four."""
    four = [Work(1, "a"), Work(1, error=RuntimeError("b")), Work(1, "c"), Work(1, "d")]
    result = await result_of(sequence(*four, fail_fast=True))
    assert [len(work.began) for work in four] == [1, 1, 0, 0]
    assert [child.status for child in result.children] == ["succeeded", "failed", "skipped", "skipped"]
    assert result.value == ["a", None, None, None]


WIRE = {
    "x05-fail-fast": {
        "kind": "parallel",
        "fail_fast": True,
        "concurrency": 3,
        "tasks": [call("say", "early"), call("fail", "b", 0.05), call("say", 1, 9), call("say", 2, 9)],
    }
}


async def test_x05_on_the_wire(answer):
    result = await answer("x05-fail-fast")
    assert (result["status"], result["value"]) == ("failed", ["early", None, None, None])
    statuses = [child["status"] for child in result["children"]]
    assert statuses[:3] == ["succeeded", "failed", "cancelled"]
    assert statuses[3] in (Status.CANCELLED, Status.SKIPPED)
    assert result["duration"] < 5
