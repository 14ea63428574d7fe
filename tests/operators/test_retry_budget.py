"""Retry budgets: of a whole task, and of a provider over all tasks; and whose retry holds for a call."""

import asyncio

import msgspec
import pytest

from streamer import Pool, Topology, fallback, parallel, race, retry, timeout
from streamer.engine import Engine
from streamer.errors import CallFailed, Category, SettingsError
from streamer.limits import ExtraCalls
from streamer.operand import as_single
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from streamer.tasks import Llm, Retry
from tests.engine.memory import Model, Runs
from tests.operators.doubles import Script, now, passing, result_of

ASK = {"kind": "llm", "model": "flaky:", "prompt": "x"}
THRICE = Retry(max_attempts=3)


class Flaky:
    """A model that always fails, unless it is told what to answer; its calls are counted."""

    def __init__(self, *lines, name="flaky:", **settings):
        self.script = Script(*(lines or (passing(),)))
        self.registry = Registry()
        self.ask = self.registry.declare(lambda request: self.script(), {"name": name, **settings})

    @property
    def calls(self):
        return len(self.script.began)

    async def run(self, plan, **settings):
        return await Engine(lambda _: plan, providers=self.registry, **settings).run(None)


class TestOfTheTask:
    @pytest.mark.parametrize("budget", [0, 1, 3])
    async def test_all_its_leaves_share_it(self, budget):
        flaky = Flaky()
        plan = parallel(*(flaky.ask("x").retry(5) for _ in range(4)))
        result = await flaky.run(plan, retry_budget=budget)
        assert (flaky.calls, result.retries) == (4 + budget, budget)

    async def test_the_last_error_says_that_it_is_spent(self):
        result = await Flaky().run(as_single(Script(passing())).retry(5), retry_budget=2)
        assert result.error.category is Category.OVERLOADED
        assert result.error.message == "busy The task's retry budget is spent."

    async def test_it_is_not_waited_for(self):
        flaky = Flaky()
        await flaky.run(flaky.ask("x").retry(5, initial_delay=60), retry_budget=0)
        assert now() == 0

    async def test_a_refused_value_is_returned_when_it_is_spent(self):
        flaky = Flaky("", "", "answer")
        result = await flaky.run(
            flaky.ask("x").retry(5, retry_if_result=lambda value: not value), retry_budget=1
        )
        assert (result.value, flaky.calls) == ("", 2)

    @pytest.mark.parametrize(
        "around",
        [
            lambda call: race(call, call),
            lambda call: fallback(call, call),
            lambda call: lambda: parallel(call, call),
            lambda call: FunctionTarget(lambda: race(call, call), "f", run_in="loop")(),
        ],
        ids=["race", "fallback", "callable", "function"],
    )
    async def test_calls_that_are_made_again_by_what_is_around_them_draw_on_it(self, around):
        flaky = Flaky()
        result = await flaky.run(retry(9)(around(flaky.ask("x"))), retry_budget=5)
        assert flaky.calls - 2 <= 5
        assert flaky.calls > 2
        assert not result.succeeded

    async def test_callables_count_as_well(self):
        script = Script(passing())
        await Flaky().run(as_single(script).retry(9), retry_budget=3)
        assert len(script.began) == 4

    async def test_each_task_has_its_own(self):
        flaky = Flaky()
        engine = Engine(lambda _: flaky.ask("x").retry(5), retry_budget=1)
        for _ in range(3):
            await engine.run(None)
        assert flaky.calls == 6

    async def test_without_one_there_is_no_limit(self):
        flaky = Flaky()
        await flaky.run(flaky.ask("x").retry(50, initial_delay=0))
        assert flaky.calls == 50

    async def test_a_task_that_is_taken_up_again_has_spent_what_it_had_spent(self):
        model = Model(lambda prompt, number: (1, CallFailed("overloaded", "busy")))
        runs = Runs(lambda: model.ask("x").retry(9, initial_delay=1, backoff="fixed"), retry_budget=3)
        await runs.crash(4.5)
        result = await runs.end()
        assert len(result.attempts) == 4
        assert "budget is spent" in result.error.message

    async def test_the_wires_retries_draw_on_it(self):
        flaky = Flaky()
        task = msgspec.convert({**ASK, "retry": {"max_attempts": 9}}, Llm)
        result = await Engine(providers=flaky.registry, retry_budget=2).run(task)
        assert (flaky.calls, result.retries) == (3, 2)

    def test_a_topology_has_it(self):
        assert Topology("a", "b", retry_budget=3).engine().retry_budget == 3

    @pytest.mark.parametrize("budget", [-1, 1.5, True, "3"])
    def test_a_wrong_one_is_refused(self, budget):
        for made in (Engine, lambda **settings: Topology("a", "b", **settings)):
            with pytest.raises(SettingsError, match="retry_budget"):
                made(retry_budget=budget)


class TestOfTheProvider:
    async def test_an_outage_does_not_multiply_the_load(self):
        """Of two hundred tasks with four attempts each, all of which fail within the window."""
        flaky = Flaky(retry_budget=0.2)
        policy = Retry(max_attempts=4, initial_delay=1, backoff="fixed")
        results = await asyncio.gather(
            *(flaky.run(retry(policy)(flaky.ask("x"))) for _ in range(200)), return_exceptions=True
        )
        retries = sum(result.retries for result in results)
        assert flaky.calls == 200 + retries
        assert 10 < retries <= 0.2 * flaky.calls + 1

    async def test_the_last_error_says_that_it_is_spent(self):
        flaky = Flaky(retry_budget=ExtraCalls(0, minimum=1))
        result = await flaky.run(flaky.ask("x").retry(5))
        assert (flaky.calls, result.error.category) == (2, Category.OVERLOADED)
        assert "busy The provider's retry budget is spent: 1 of 2 calls" in result.error.message

    async def test_a_few_retries_are_always_there(self):
        flaky = Flaky(retry_budget=0.0)
        await flaky.run(flaky.ask("x").retry(50, initial_delay=0))
        assert flaky.calls == 11

    async def test_calls_that_are_made_again_by_what_is_around_them_draw_on_it(self):
        flaky = Flaky(retry_budget=ExtraCalls(0, minimum=3))
        result = await flaky.run(retry(9)(race(flaky.ask("x"), flaky.ask("y"))))
        assert flaky.calls == 5
        assert not result.succeeded

    async def test_of_a_call_with_a_clock_too(self):
        flaky = Flaky(retry_budget=ExtraCalls(0, minimum=1))
        await flaky.run(flaky.ask("x").pipe(timeout(5), retry(5)))
        assert flaky.calls == 2

    @pytest.mark.parametrize("budget", [-0.1, 1.1, True, float("nan"), "0.2"])
    def test_a_wrong_one_is_refused(self, budget):
        with pytest.raises(SettingsError, match="retry_budget of provider 'flaky:'"):
            Flaky(retry_budget=budget)


class TestWhoseHolds:
    """The nearest: a retry around a call in the topology, the task's own, the topology's for all."""

    async def calls(self, wrap, task=THRICE, default=None):
        flaky = Flaky()
        topology = Topology("a", "b", retry=default)
        topology.task(lambda task: wrap(flaky.ask(task)))
        await topology.engine().run(Llm(prompt="x", retry=task))
        return flaky.calls

    async def test_the_tasks_own_where_the_topology_says_nothing(self):
        assert await self.calls(lambda call: call) == 3

    async def test_the_tasks_own_below_a_combinator(self):
        assert await self.calls(lambda call: fallback(call)) == 3

    @pytest.mark.parametrize("wrap", [lambda call: call, lambda call: call.map(str), timeout(90)])
    async def test_one_around_the_call_is_nearer(self, wrap):
        assert await self.calls(lambda call: wrap(call).pipe(retry(5))) == 5

    async def test_one_around_the_task_itself_is_nearer(self):
        flaky = Flaky()
        task = msgspec.convert({**ASK, "retry": {"max_attempts": 3}}, Llm)
        await flaky.run(retry(5)(task))
        assert flaky.calls == 5

    async def test_a_clock_is_each_attempts(self):
        slow = Registry().declare(lambda request: asyncio.sleep(99), {"name": "slow:"})
        result = await result_of(slow(Llm(prompt="x", retry=THRICE)).pipe(timeout(2)))
        assert [attempt.duration for attempt in result.attempts] == [2, 2, 2]

    @pytest.mark.parametrize(("own", "made"), [(None, 2), (Retry(max_attempts=1), 1), (THRICE, 3)])
    async def test_the_topologys_for_tasks_that_say_nothing(self, own, made):
        assert await self.calls(lambda call: call, own, Retry(max_attempts=2)) == made

    async def test_the_tasks_own_before_that_of_a_pool(self):
        flaky = Flaky()
        async with Pool(retry=5) as pool:
            futures = [await pool.submit(flaky.ask(Llm(prompt="x", retry=own))) for own in (THRICE, None)]
            results = await asyncio.gather(*futures)
        assert [result.retries for result in results] == [2, 4]

    async def test_two_around_each_other_are_both_meant(self):
        assert await self.calls(lambda call: call.pipe(retry(2), retry(3))) == 6
