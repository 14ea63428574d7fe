"""Long back-offs: the task is parked, goes on waiting wherever it is taken up, and can be ended meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from streamer import fallback, parallel, race, retry, sequence, timeout
from streamer.engine import Engine
from streamer.errors import CallFailed
from streamer.operators.deadline import deadline
from streamer.topology import Topology
from tests.engine.memory import LATENCY, Model, Runs
from tests.operators.doubles import Work, now, others, passing

START = 2_000_000_000.0
SLOW_DOWN = CallFailed("rate_limit", "slow down", http_status=429, retry_after=60)


@pytest.fixture(autouse=True)
def _one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of day goes on with the loop's, from one run of a task to the next."""
    monkeypatch.setattr("streamer.scope.time", SimpleNamespace(time=lambda: START + now()))


def failing(*numbers: int, error: Exception = SLOW_DOWN) -> Any:
    return lambda prompt, number: (0, error if number in numbers else f"{prompt}!")


class TestParked:
    async def test_while_it_waits_for_long(self):
        model = Model(failing(1))
        runs = Runs(lambda: retry(2)(model.ask("a")))
        await runs.end()
        assert runs.journal.parked == [(0, 60)]

    async def test_not_for_a_short_back_off(self):
        model = Model(failing(1, error=passing()))
        runs = Runs(lambda: retry(2, initial_delay=4.9)(model.ask("a")))
        await runs.end()
        assert runs.journal.parked == []

    @pytest.mark.parametrize("how", ["engine", "topology"])
    async def test_what_is_long_is_a_setting(self, how):
        topology = Topology("questions", "answers", park_after=3.0)
        threshold = 3.0 if how == "engine" else topology.engine().park_after
        model = Model(failing(1, error=passing()))
        runs = Runs(lambda: retry(2, initial_delay=3)(model.ask("a")), park_after=threshold)
        await runs.end()
        assert runs.journal.parked == [(0, 3)]
        assert Engine().park_after == Topology("questions", "answers").engine().park_after == 5.0
        assert topology.engine(park_after=9.0).park_after == 9.0

    async def test_not_while_anything_else_goes_on(self):
        model = Model(failing(1))
        brief = retry(2, initial_delay=2)(Work(1, error=passing()))
        runs = Runs(lambda: parallel(retry(2)(model.ask("a")), brief, require="any"))
        await runs.end()
        assert [times for times in runs.journal.parked if times[0] < times[1]] == [(4, 60)]

    async def test_until_the_first_of_several_goes_on(self):
        model = Model(lambda prompt, number: (1, passing()) if number == 1 else (1, f"{prompt}!"))
        longer = retry(2, initial_delay=20)
        runs = Runs(lambda: parallel(retry(2, initial_delay=10)(model.ask("a")), longer(model.ask("b"))))
        await runs.end()
        assert runs.journal.parked == [(1, 11), (12, 21)]

    async def test_it_gives_its_slot_to_another(self):
        model = Model(failing(1))
        runs = Runs(lambda: retry(2)(model.ask("a")))
        task = asyncio.ensure_future(runs.end())
        await asyncio.sleep(1)
        assert (runs.slots.active, runs.journal.parked) == (0, [(0, None)])
        assert runs.slots.take()
        await asyncio.sleep(99)
        assert runs.journal.parked == [(0, 60)]
        assert not task.done()
        runs.slots.give()
        assert (await task).value == "a!"

    async def test_while_it_waits_for_its_slot_nothing_parks_it_again(self):
        """Where something else of it comes to a long back-off meanwhile."""
        model = Model(failing(1))
        late = retry(2, initial_delay=50)(timeout(62)(race(retry(2)(model.ask("b")))))
        runs = Runs(lambda: parallel(retry(2)(model.ask("a")), late, require="any"))
        task = asyncio.ensure_future(runs.end())
        await asyncio.sleep(1)
        assert runs.slots.take()
        await asyncio.sleep(70)
        assert runs.journal.parked[-1] == (LATENCY, 60)
        runs.slots.give()
        await task


class TestEnded:
    @pytest.mark.parametrize("seconds", [1, 30])
    async def test_from_outside_while_it_is_parked(self, seconds):
        model = Model(failing(1))
        runs = Runs(lambda: sequence(parallel(retry(2)(model.ask("a")), retry(2)(model.ask("b")))))
        task = asyncio.ensure_future(runs.run(runs.journal))
        await asyncio.sleep(seconds)
        runs.journal.gone = True
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (now(), others(), len(model.began)) == (seconds, set(), 2)
        assert runs.journal.parked == [(0, seconds)]
        runs.check()

    async def test_at_once_where_its_deadline_comes_first(self):
        at = datetime.fromtimestamp(START + 30, UTC)
        runs = Runs(lambda: deadline(at)(retry(3)(Model(failing(1)).ask("a"))))
        result = await runs.end()
        assert (now(), result.error.category, runs.journal.parked) == (0, "deadline", [])

    async def test_by_a_clock_of_its_own(self):
        runs = Runs(lambda: timeout(30)(race(retry(2)(Model(failing(1)).ask("a")))))
        result = await runs.end()
        assert (now(), result.status, runs.journal.parked) == (30, "timed_out", [(0, 30)])


class TestTakenUpAgain:
    async def test_it_waits_only_for_what_is_left_and_is_parked_again(self):
        model = Model(failing(1))
        runs = Runs(lambda: retry(2)(model.ask("a")))
        await runs.crash(20)
        result = await runs.end()
        assert (now(), result.value) == (60, "a!")
        assert model.began == ["t#1", "t#2"]
        assert runs.journal.parked == [(20, 60)]
        assert [attempt.id for attempt in result.attempts] == ["t#1", "t#2"]

    async def test_it_does_not_wait_when_its_time_has_come(self):
        model = Model(failing(1))
        runs = Runs(lambda: retry(2)(model.ask("a")))
        await runs.crash(20)
        await asyncio.sleep(500)
        await runs.end()
        assert (now(), runs.journal.parked) == (520, [])

    async def test_a_short_back_off_is_not_begun_anew(self):
        model = Model(failing(1, 2, error=passing()))
        runs = Runs(lambda: retry(3, initial_delay=4, backoff="fixed")(model.ask("a")))
        await runs.crash(6)
        await runs.end()
        assert now() == 6
        assert model.began == ["t#1", "t#2", "t#3"]

    async def test_a_refused_answer_is_waited_for_in_the_same_way(self):
        model = Model(lambda prompt, number: (0, "good" if number == 2 else "bad"))
        again = retry(2, initial_delay=30, retry_if_result=lambda value: value == "bad")
        runs = Runs(lambda: again(model.ask("a")))
        await runs.crash(10)
        assert (await runs.end()).value == "good"
        assert (now(), len(model.began)) == (30, 2)

    async def test_a_whole_combinator_that_is_retried(self):
        model = Model(failing(1))
        runs = Runs(lambda: retry(2)(fallback(model.ask("a"), model.ask("b"))))
        await runs.crash(20)
        result = await runs.end()
        assert (now(), result.value) == (pytest.approx(60, abs=2 * LATENCY), "a!")
        assert model.began == ["t/0#1", "t/1#1", "t/0#2"]

    async def test_a_failure_that_was_made_in_this_run_is_waited_for_in_full(self):
        """Though the journal had answered what was asked beside it."""
        model = Model(failing(1, error=passing()))
        runs = Runs(lambda: retry(2, initial_delay=4)(race(model.ask("a"), Work(1, error=passing()))))
        await runs.crash(0.5)
        began = now()
        await runs.end()
        assert now() == began + 1 + 4

    async def test_so_is_one_of_the_code_around_a_call_that_was_recalled(self):
        model, failures = Model(failing()), [passing(), passing()]

        async def asks() -> str:
            answer = await model.ask("a")
            if failures:
                raise failures.pop()
            return answer

        runs = Runs(lambda: retry(3, initial_delay=4)(asks))
        await runs.crash(1)
        assert (await runs.end()).value == "a!"
        assert (now(), len(model.began)) == (1 + 4, 2)

    async def test_an_exception_of_foreign_code_keeps_its_attempts_too(self):
        """A wrapped SDK's: only its retry_on can tell that it is to be tried again, and it had."""
        model = Model(failing(1, error=LookupError("lost")))
        runs = Runs(lambda: retry(2, retry_on=LookupError, initial_delay=60)(model.ask("a")))
        await runs.crash(20)
        result = await runs.end()
        assert (now(), result.value, model.began) == (60, "a!", ["t#1", "t#2"])

    async def test_again_and_again(self):
        model = Model(failing(1, 2))
        runs = Runs(lambda: retry(3)(model.ask("a")))
        for _ in range(5):
            await runs.crash(20)
        result = await runs.end()
        assert (now(), result.value) == (120, "a!")
        assert model.began == ["t#1", "t#2", "t#3"]
