"""X10: the first success wins; failures are skipped, ties are settled, losers awaited, errors all kept."""

import asyncio

import pytest

from streamer import Status, race
from streamer.errors import Category, ChildrenFailed
from streamer.operators.hedging import Hedging
from tests.acceptance.topology import call
from tests.operators.doubles import Script, Work, cancelled_after, now, others, passing, result_of

pytestmark = pytest.mark.virtual_time

RACES = {
    "all at once": race,
    "hedged": lambda *works: race(*works, hedge_delay=0.5, hedging=Hedging()),
}
EACH = pytest.mark.parametrize("run", [RACES["all at once"], RACES["hedged"]], ids=["all at once", "hedged"])


@EACH
async def test_x10_the_first_success_and_its_index(run):
    works = [Work(50, "slow"), Work(2, "quick"), Work(50, "slow")]
    result = await result_of(run(*works))
    assert (result.value, result.winner) == ("quick", 1)
    assert [child.status for child in result.children] == ["cancelled", "succeeded", "cancelled"]


@EACH
async def test_x10_a_quick_failure_does_not_end_it(run):
    result = await result_of(run(Work(0, error=RuntimeError("no")), Work(0.1, error=passing()), Work(3, "c")))
    assert (result.value, result.winner) == ("c", 2)
    assert [child.status for child in result.children] == ["failed", "failed", "succeeded"]


async def test_x10_unless_the_first_to_end_is_asked_for():
    """And then its failure is the race's, not a success without a value."""
    error = RuntimeError("first to end")
    result = await result_of(race(Work(1, error=error), Work(2, "late"), win_on="completion"))
    assert (result.status, result.winner, result.error.exception) == (Status.FAILED, 0, error)


@pytest.mark.parametrize("contenders", [2, 3, 10])
async def test_x10_a_tie_goes_to_the_lowest_index_every_time(contenders):
    """However often it is run, and though the others have ended in the same turn of the loop."""
    for _ in range(300):
        gate = asyncio.Event()

        async def waits(value, gate=gate):
            await gate.wait()
            return value

        works = [lambda n=n, waits=waits: waits(n) for n in range(contenders)]
        running = asyncio.ensure_future(race(*works).started())
        await asyncio.sleep(0.1)
        gate.set()
        assert await running == 0


async def test_x10_a_tie_behind_a_failure_goes_to_the_next():
    for _ in range(100):
        assert await race(Work(1, error=passing()), Work(1, "b"), Work(1, "c")) == "b"


@EACH
async def test_x10_if_all_fail_every_error_is_there_by_its_index(run):
    """Not the last one alone, and not the one that happened to come last."""
    errors = [RuntimeError("a"), passing("b"), KeyError("c")]
    with pytest.raises(ChildrenFailed) as caught:
        await run(*(Work(3 - n, error=error) for n, error in enumerate(errors)))
    assert caught.value.failures == dict(enumerate(errors))
    assert list(caught.value.failures) == [0, 1, 2]
    assert isinstance(caught.value, ExceptionGroup)


@EACH
async def test_x10_losers_have_cleaned_up_when_it_returns(run):
    losers = [Work(50, cleanup=0.5), Work(50, cleanup=0.5)]
    assert await run(losers[0], Work(2, "won"), losers[1]) == "won"
    assert [(loser.cancelled, loser.alive) for loser in losers] == [(1, 0), (1, 0)]
    assert now() == 3.0 if run is RACES["hedged"] else 2.5
    assert not others()


@EACH
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_x10_one_that_raises_before_it_is_a_coroutine_leaks_nothing(run, place):
    def raises():
        raise RuntimeError("at once")

    works = [Work(50, cleanup=0.5), Work(2, "won")]
    works.insert(place, raises)
    result = await result_of(run(*works))
    assert (result.value, result.children[place].status) == ("won", "failed")
    assert not others()


@EACH
async def test_x10_cancelled_from_outside_no_contender_goes_on_to_be_paid_for(run):
    works = [Work(50, cleanup=0.5) for _ in range(3)]
    await cancelled_after(2, run(*works))
    assert [(len(work.began), work.alive) for work in works] == [(1, 0)] * 3
    await asyncio.sleep(100)
    assert [len(work.began) for work in works] == [1, 1, 1]
    assert not others()


async def test_x10_each_contender_has_its_own_retries():
    contender = race(Script(passing(), "again")).retry(2, initial_delay=1)
    assert await race(contender, Work(0, error=RuntimeError("no"))) == "again"


WIRE = {
    "x10-first-success": {
        "kind": "race",
        "tasks": [call("fail"), call("say", "won", 0.05), call("say", "slow", 9)],
    },
    "x10-tie": {"kind": "race", "tasks": [call("say", n) for n in range(5)]},
    "x10-all-fail": {
        "kind": "race",
        "tasks": [call("fail", "a", 0.02), call("fail", "b"), call("fail", "c")],
    },
}


async def test_x10_on_the_wire(answer):
    won = await answer("x10-first-success")
    assert (won["value"], won["winner"]) == ("won", 1)
    assert [child["status"] for child in won["children"]] == ["failed", "succeeded", "cancelled"]
    tie = await answer("x10-tie")
    assert (tie["value"], tie["winner"]) == (0, 0)
    lost = await answer("x10-all-fail")
    assert (lost["status"], lost["error"]["category"]) == ("failed", Category.INTERNAL)
    assert [child["error"]["message"] for child in lost["children"]] == ["a", "b", "c"]
