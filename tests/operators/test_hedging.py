"""hedged start: the next contender only where the one before is slow, and within a budget."""

import asyncio
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import Status, race, retry
from streamer.errors import ChildrenFailed
from streamer.limits import ExtraCalls
from streamer.operators.hedging import ENOUGH, KEPT, NAMES, UNKNOWN, Durations, Hedging, Starts, shared
from streamer.providers.registry import Registry
from tests.engine.memory import Model, Runs
from tests.operators.doubles import Runner, Script, Work, now, others, passing, result_of


def generous() -> Hedging:
    return Hedging(ExtraCalls(1.0))


async def hedged(*contenders, delay=2, **settings):
    return await race(*contenders, hedge_delay=delay, hedging=generous(), **settings)


class TestStart:
    async def test_a_quick_first_one_is_alone(self):
        first, second = Work(1, "first"), Work(1, "second")
        assert await hedged(first, second) == "first"
        assert (now(), second.began) == (1, [])
        assert not others()

    async def test_each_further_one_starts_a_delay_later(self):
        works = [Work(50), Work(50), Work(3, "third")]
        assert await hedged(*works) == "third"
        assert [work.began for work in works] == [[0], [2], [4]]
        assert [work.cancelled for work in works] == [1, 1, 0]

    async def test_the_first_may_win_all_the_same(self):
        works = [Work(3, "first"), Work(50)]
        assert await hedged(*works) == "first"
        assert (now(), works[1].began, works[1].alive) == (3, [2], 0)

    async def test_at_once_when_all_that_have_started_have_failed(self):
        works = [Work(1, error=passing()), Work(1, error=passing()), Work(1, "third")]
        assert await hedged(*works) == "third"
        assert [work.began for work in works] == [[0], [1], [2]]

    async def test_a_failure_beside_another_that_runs_starts_nobody_early(self):
        works = [Work(9, "first"), Work(1, error=passing()), Work(1, "third")]
        assert await hedged(*works) == "third"
        assert works[2].began == [4]

    async def test_a_tie_goes_to_the_lowest_index(self):
        assert await hedged(Work(4, "first"), Work(2, "second")) == "first"

    async def test_if_all_fail_the_error_holds_every_failure_with_its_index(self):
        failures = [passing("a"), ValueError("b")]
        with pytest.raises(ChildrenFailed) as caught:
            await hedged(Work(5, error=failures[0]), Work(1, error=failures[1]))
        assert caught.value.failures == dict(enumerate(failures))

    async def test_with_completion_the_first_to_end_wins(self):
        never = Work(1)
        with pytest.raises(Exception, match="busy"):
            await hedged(Work(1, error=passing()), never, win_on="completion")
        assert never.began == []

    async def test_those_that_never_started_are_skipped(self):
        plan = race(Work(3, "first"), Work(9), Work(9), hedge_delay=2, hedging=generous())
        result = await result_of(plan)
        states = [child.status for child in result.children]
        assert states == [Status.SUCCEEDED, Status.CANCELLED, Status.SKIPPED]
        assert "before its turn" in result.children[2].error.message

    async def test_one_that_backs_off_gives_its_slot_to_the_next(self):
        runner = Runner(1)
        flaky = retry(2, initial_delay=50)(Script(passing(), "late"))
        result = await runner.run(lambda: race(flaky, Work(1, "second"), hedge_delay=2, hedging=generous()))
        assert (result.value, now(), runner.slots.active) == ("second", 3, 0)


class TestBudget:
    async def test_beyond_it_nobody_starts_beside_another(self):
        hedging = Hedging(ExtraCalls(0.1, minimum=1))
        second = Work(1, "second")
        values = [await race(Work(9, "first"), second, hedge_delay=1, hedging=hedging) for _ in range(3)]
        assert values == ["second", "first", "first"]
        assert len(second.began) == 1

    async def test_it_is_asked_for_again_a_delay_later(self):
        hedging = Hedging(ExtraCalls(0.0, minimum=1, window=10))
        assert hedging.budget.allow(0)
        second = Work(1, "second")
        assert await race(Work(90), second, hedge_delay=4, hedging=hedging) == "second"
        assert second.began == [12]

    async def test_starting_after_a_failure_is_no_extra_call(self):
        hedging = Hedging(ExtraCalls(0.0, minimum=0))
        plan = race(Work(1, error=passing()), Work(1, "second"), hedge_delay=9, hedging=hedging)
        assert await plan == "second"

    async def test_a_race_without_a_delay_needs_none(self):
        before = shared.budget.calls
        assert await race(*(Work(1, index) for index in range(50))) == 0
        assert shared.budget.calls == before


class TestP95:
    async def test_is_two_seconds_while_little_is_known(self):
        second = Work(1, "second")
        assert await race(Work(9), second, hedge_delay="p95", hedging=generous()) == "second"
        assert second.began == [UNKNOWN]

    async def test_is_what_the_first_ones_provider_takes(self):
        registry, hedging = Registry(), generous()
        seconds = [0.1 * (1 + i % 10) for i in range(ENOUGH)] + [30.0]

        async def answer(request):
            await asyncio.sleep(seconds.pop(0))

        quick = registry.declare(answer, {"name": "quick:m"})
        for _ in range(ENOUGH):
            await race(quick("?"), Work(9), hedge_delay="p95", hedging=hedging)
        assert list(hedging.durations) == ["quick:m"]
        start, second = now(), Work(1, "second")
        assert await race(quick("?"), second, hedge_delay="p95", hedging=hedging) == "second"
        assert second.began == [pytest.approx(start + 1.0)]

    async def test_is_kept_by_whom_one_asks_through_clocks_and_retries(self):
        hedging = generous()
        model = Registry().declare(lambda request: "x", {"name": "model:m"})
        await race(model("?").timeout(5).retry(2).map(str), hedge_delay="p95", hedging=hedging)
        await race(lambda: "x", hedge_delay="p95", hedging=hedging)
        assert list(hedging.durations) == ["model:m", "function"]

    async def test_a_fixed_delay_learns_nothing(self):
        hedging = generous()
        await race(Work(1), hedge_delay=3, hedging=hedging)
        assert not hedging.durations

    async def test_a_slow_loser_counts_with_the_time_it_had(self):
        hedging = generous()
        await race(Work(50), Work(1, "second"), hedge_delay="p95", hedging=hedging)
        assert list(hedging.durations["function"].latest) == [3, 1]


@given(st.lists(st.floats(0, 100), min_size=ENOUGH, max_size=3 * KEPT))
def test_durations(seconds):
    """95 of 100 of the latest took at most so long."""
    durations = Durations()
    for each in seconds:
        durations.latest.append(each)
    latest, p95 = seconds[-KEPT:], durations.p95()
    assert sum(each <= p95 for each in latest) >= 0.95 * len(latest)
    assert sum(each < p95 for each in latest) < 0.95 * len(latest)


def test_only_so_many_names_are_kept():
    hedging = Hedging()
    for name in range(NAMES + 5):
        hedging.answered(str(name), 1)
    assert len(hedging.durations) == NAMES
    assert "4" not in hedging.durations


@given(
    st.integers(1, 5),
    st.sampled_from([None, 1.0]),
    st.none() | st.integers(0, 4),
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.booleans()), max_size=20),
    st.integers(0, 3),
)
def test_starts(contenders, delay, winner, steps, budget):
    """Its invariants, as it states them."""
    winner = None if winner is None else winner % contenders
    hedging = Hedging(ExtraCalls(0, minimum=budget, window=86_400))
    starts = Starts(contenders, delay, ["x"] * contenders, hedging, winner)
    now, begun, running, extra, failed = 0.0, [], 0, 0, False
    for later, fails in steps:
        now += later
        if fails and running:
            starts.failed()
            running -= 1
            failed = True
        while (index := starts.next(now)) is not None:
            if winner is not None and begun == [winner]:
                assert failed
            extra += running > 0 and delay is not None
            begun.append(index)
            running += 1
        assert running or not starts.waiting
        assert starts.due > now or not starts.waiting
        if not starts.waiting:
            assert starts.due == inf
    rest = [index for index in begun if index != winner]
    assert rest == sorted(rest)
    assert extra <= budget


class TestJournal:
    async def test_the_winner_of_an_earlier_run_starts_alone_though_it_was_a_hedge(self):
        model = Model(lambda prompt, number: (60 if prompt == "a" else 1, f"{prompt}!"))
        plan = lambda: race(model.ask("a"), model.ask("b"), hedge_delay=2, hedging=generous())  # noqa: E731
        runs = Runs(lambda: plan().flat_map(lambda _: model.ask("c")))
        await runs.crash(3.5)
        result = await runs.end()
        assert (result.value, model.prompts) == ("c!", ["a", "b", "c", "c"])

    async def test_an_undecided_one_starts_as_it_did(self):
        model = Model(lambda prompt, number: (5, f"{prompt}!"))
        runs = Runs(lambda: race(model.ask("a"), model.ask("b"), hedge_delay=2, hedging=generous()))
        await runs.crash(1)
        assert (await runs.end()).value == "a!"
        assert model.prompts == ["a", "a", "b"]

    async def test_what_it_recalls_is_no_duration(self):
        hedging = generous()
        model = Model()
        runs = Runs(
            lambda: race(model.ask("a"), hedge_delay="p95", hedging=hedging).flat_map(
                lambda _: model.ask("b")
            )
        )
        await runs.crash(1.5)
        await runs.end()
        assert [list(known.latest) for known in hedging.durations.values()] == [[1]]

    async def test_while_the_first_backs_off_for_long_the_task_is_parked_until_the_next_ones_turn(self):
        model = Model(lambda prompt, number: passing() if prompt == "a" else f"{prompt}!")
        plan = lambda: race(  # noqa: E731
            model.ask("a").retry(2, initial_delay=60), model.ask("b"), hedge_delay=10, hedging=generous()
        )
        runs = Runs(plan)
        result = await runs.end()
        assert (result.value, now()) == ("b!", 11)
        assert runs.journal.parked[0] == (1, 10)


@pytest.mark.parametrize("delay", [0, -1, float("nan"), True, "p99", float("inf")])
def test_a_wrong_delay_is_refused(delay):
    with pytest.raises(ValueError, match="hedge_delay"):
        race(Work(), hedge_delay=delay)


def test_a_budget_without_a_delay_is_refused():
    with pytest.raises(ValueError, match="hedge_delay"):
        race(Work(), hedging=generous())
