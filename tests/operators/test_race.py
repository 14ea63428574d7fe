"""race: the first success wins, whatever came before it; the losers are stopped."""

import asyncio

import pytest

from streamer import Status, race, retry
from streamer.errors import CallFailed, Category, ChildrenFailed
from streamer.operand import as_single
from tests.operators.doubles import (
    Script,
    Stubborn,
    Work,
    cancelled_after,
    cancels_itself,
    now,
    others,
    passing,
    result_of,
)


async def test_the_first_success_wins():
    slow, quick = Work(5, "slow"), Work(1, "quick")
    assert await race(slow, quick) == "quick"
    assert now() == 1


async def test_a_failure_that_came_first_does_not_win():
    """A fast 429 is no answer."""
    assert await race(Work(0, error=passing()), Work(3, "answer")) == "answer"


@pytest.mark.parametrize("seconds", [0, 2])
async def test_a_tie_goes_to_the_lowest_index(seconds):
    assert await race(*(Work(seconds, index) for index in range(5))) == 0


async def test_of_plain_values_the_first_wins():
    """Nothing needs to be asynchronous."""
    assert await race(lambda: "a", lambda: "b") == "a"


async def test_one_contender_is_a_race():
    assert await race(Work(1, "alone")) == "alone"


async def test_the_losers_are_cancelled_and_awaited():
    """What they clean up with is over when the value is there."""
    losers = [Work(9, cleanup=0.5), Work(9, cleanup=0.25)]
    assert await race(losers[0], Work(1, "won"), losers[1]) == "won"
    assert [loser.cancelled for loser in losers] == [1, 1]
    assert [loser.alive for loser in losers] == [0, 0]
    assert now() == 1.5
    assert not others()


async def test_a_loser_is_awaited_for_the_grace_and_no_longer():
    loser = Stubborn()
    assert await race(loser, Work(2, "won")) == "won"
    assert now() == 3
    assert (loser.cancelled, loser.alive) == (1, 1)
    loser.release.set()


async def test_losers_that_have_not_begun_never_do():
    """The winner needs no waiting, so the slowest have at most looked at the start."""
    later = Work(1)
    assert await race(lambda: "at once", later) == "at once"
    assert later.alive == 0
    assert not others()


async def test_if_all_fail_the_error_holds_every_failure_with_its_index():
    failures = [ValueError("a"), passing("b"), KeyError("c")]
    with pytest.raises(ChildrenFailed) as caught:
        await race(*(Work(3 - index, error=error) for index, error in enumerate(failures)))
    assert caught.value.failures == dict(enumerate(failures))
    assert list(caught.value.failures) == [0, 1, 2]
    assert caught.value.exceptions == tuple(failures)


async def test_a_synchronous_raise_leaks_nothing():
    """It is a failure like another."""

    def fails():
        raise ValueError("at once")

    other = Work(2, "other")
    assert await race(fails, other) == "other"
    with pytest.raises(ChildrenFailed):
        await race(fails, fails)
    assert not others()


async def test_a_contender_that_raises_cancelled_error_only_fails():
    assert await race(cancels_itself, Work(1, "other")) == "other"
    with pytest.raises(ChildrenFailed) as caught:
        await race(cancels_itself, as_single(Work(1)).map(lambda _: cancels_itself()))
    assert {f.category for f in caught.value.failures.values()} == {Category.CANCELLED}


async def test_cancelled_from_outside_it_leaves_nobody_running():
    contenders = [Work(9, cleanup=0.5), Work(9)]
    await cancelled_after(1, race(*contenders))
    assert [contender.cancelled for contender in contenders] == [1, 1]
    assert now() == 1.5
    assert not others()


async def test_cancelled_while_it_awaits_the_losers_it_still_awaits_them():
    loser = Work(9, cleanup=0.75)
    await cancelled_after(1.5, race(loser, Work(1, "won")))
    assert loser.alive == 0
    assert now() == 1.75


async def test_without_contenders_it_cannot_be_made():
    with pytest.raises(ValueError, match="at least one"):
        race()


class TestWinOn:
    async def test_completion_lets_the_first_to_end_win_though_it_fails(self):
        loser = Work(9)
        with pytest.raises(CallFailed, match="busy"):
            await race(loser, Work(1, error=passing()), win_on="completion")
        assert (loser.cancelled, now()) == (1, 1)

    async def test_completion_lets_a_success_win(self):
        assert await race(Work(2, error=passing()), Work(1, "won"), win_on="completion") == "won"

    def test_anything_else_is_refused(self):
        with pytest.raises(ValueError, match="win_on"):
            race(Work(), win_on="luck")


async def test_contenders_with_retries_wait_on_their_own():
    """Another that is slow but sure wins over one that backs off for longer."""
    flaky = Script(passing(), "flaky")
    assert await race(retry(2, initial_delay=10)(flaky), Work(5, "sure")) == "sure"
    assert len(flaky.began) == 1
    assert not others()


async def test_the_result_accounts_for_every_contender():
    result = await result_of(race(Work(2, "slow"), Work(0, error=passing()), Work(1, "won")))
    assert (result.value, result.winner) == ("won", 2)
    states = [child.status for child in result.each_child()]
    assert states == [Status.CANCELLED, Status.FAILED, Status.SUCCEEDED]


async def test_each_run_is_a_race_of_its_own():
    contenders = [Work(1, "a"), Work(2, "b")]
    single = race(*contenders)
    assert await asyncio.gather(single.started(), single.started()) == ["a", "a"]
    assert await single == "a"
    assert len(contenders[1].began) == 3
