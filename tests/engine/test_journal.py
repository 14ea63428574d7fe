"""A task that is taken up again after a crash: what was answered is not called again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

import streamer
from streamer import fallback, parallel, race, retry, sequence, timeout
from streamer.errors import CallFailed, Category, SettingsError
from streamer.providers.function import FunctionTarget
from streamer.providers.protocol import Response
from streamer.providers.registry import Registry
from streamer.results import Result, Status, Usage
from streamer.topology import Topology
from tests.engine.memory import LATENCY, Model, Runs
from tests.engine.test_properties import Plain
from tests.operators.doubles import Work, now, others, passing

BUSY = CallFailed("overloaded", "busy", http_status=529, usage=Usage(input_tokens=3), cost=0.5)


def failing(*numbers: int, error: Exception = BUSY) -> Any:
    return lambda prompt, number: error if number in numbers else f"{prompt}!"


class TestRecall:
    async def test_a_sequence_goes_on_where_it_was(self):
        model = Model()
        runs = Runs(lambda: sequence(*map(model.ask, "abc")))
        await runs.crash(2.5)
        result = await runs.end()
        assert result.value == ["a!", "b!", "c!"]
        assert model.prompts == ["a", "b", "c", "c"]
        assert [len(child.attempts) for child in result.children] == [1, 1, 1]

    async def test_the_answer_before_is_handed_over_all_the_same(self):
        model = Model()
        runs = Runs(lambda: sequence(model.ask("a"), model.ask("b"), model.ask("c"), pass_result=True))
        await runs.crash(2.9)
        assert (await runs.end()).value == ["a!", "b!", "c!"]
        assert model.prompts == ["a", "b", "c", "c"]

    async def test_nothing_paid_begins_before_what_was_noted_is_durable(self):
        model = Model()
        await Runs(lambda: sequence(model.ask("a"), model.ask("b"))).end()
        assert now() == pytest.approx(2 + LATENCY)

    async def test_retries_are_counted_on(self):
        model = Model(failing(1, 2))
        runs = Runs(lambda: retry(4, backoff="fixed")(model.ask("a")))
        await runs.crash(3.9)
        result = await runs.end()
        assert model.began == ["t#1", "t#2", "t#3"]
        assert [attempt.id for attempt in result.attempts] == ["t#1", "t#2", "t#3"]
        assert (result.value, result.usage, result.cost) == ("a!", Usage(input_tokens=6), 1.0)

    async def test_attempts_made_before_count_towards_the_last(self):
        model = Model(failing(1, 2, 3))
        runs = Runs(lambda: retry(3, backoff="fixed")(model.ask("a")))
        await runs.crash(3.9)
        result = await runs.end()
        assert (len(model.began), len(result.attempts)) == (3, 3)
        assert (result.error.category, result.error.http_status, result.error.provider) == (
            Category.OVERLOADED,
            529,
            "model",
        )

    async def test_a_failure_of_the_last_attempt_is_that_of_the_task(self):
        """The result was lost with the worker, not what it says."""
        model = Model(failing(1))
        runs = Runs(lambda: model.ask("a"))
        first = await runs.crash(2)
        again = await runs.end()
        assert len(model.began) == 1
        assert (again.status, again.error, again.attempts) == (first.status, first.error, first.attempts)

    async def test_what_timed_out_is_that_again(self):
        model = Model(lambda prompt, number: (60, prompt))
        runs = Runs(lambda: timeout(2)(model.ask("a")))
        first = await runs.crash(3)
        again = await runs.end()
        assert (len(model.began), again.status, again.error) == (1, Status.TIMED_OUT, first.error)

    async def test_a_candidate_that_failed_is_not_asked_again(self):
        model = Model(
            lambda prompt, number: CallFailed("authentication", "no") if prompt in "ab" else f"{prompt}!"
        )
        runs = Runs(lambda: fallback(*map(model.ask, "abcd")))
        await runs.crash(2.9)
        result = await runs.end()
        assert model.prompts == ["a", "b", "c", "c"]
        assert (result.winner, result.value) == (2, "c!")
        assert [child.status for child in result.children] == ["failed", "failed", "succeeded", "skipped"]

    async def test_children_that_had_ended_are_not_called_again(self):
        model = Model(lambda prompt, number: ({"a": 1, "b": 5, "c": 2}[prompt], f"{prompt}!"))
        runs = Runs(lambda: parallel({name: model.ask(name) for name in "abc"}))
        await runs.crash(3)
        result = await runs.end()
        assert result.value == {"a": "a!", "b": "b!", "c": "c!"}
        assert model.prompts == ["a", "b", "c", "b"]

    @pytest.mark.parametrize("shape", [list, Plain], ids=["sized", "lazy"])
    async def test_a_map_that_is_run_again_asks_again_and_counts_on(self, shape):
        """Its children may not have been kept; still no attempt has the id of another, nor its answer."""
        model = Model(lambda prompt, number: BUSY if prompt == "b" and number == 1 else f"{prompt}!")
        runs = Runs(lambda: retry(2, backoff="fixed")(streamer.map(model.ask, shape(["a", "b"]))))
        assert (await runs.end()).value == ["a!", "b!"]
        assert model.began == ["t/0#1", "t/1#1", "t/0#2", "t/1#2"]

    @pytest.mark.parametrize("shape", [list, Plain], ids=["sized", "lazy"])
    async def test_of_a_map_that_is_run_again_the_second_time_is_taken_up(self, shape):
        model = Model(
            lambda prompt, number: (len(prompt), BUSY if prompt == "b" and number == 1 else f"{prompt}!")
        )
        runs = Runs(lambda: retry(2, backoff="fixed")(streamer.map(model.ask, shape(["a", "b", "ccc"]))))
        await runs.crash(5.9)
        assert (await runs.end()).value == ["a!", "b!", "ccc!"]
        assert model.began == ["t/0#1", "t/1#1", "t/2#1", "t/0#2", "t/1#2", "t/2#2", "t/2#2"]

    @pytest.mark.parametrize("items", [list, iter], ids=["sized", "lazy"])
    async def test_items_that_had_an_answer_are_not_asked_of_again(self, items):
        model = Model(lambda prompt, number: ({"a": 1, "b": 5, "c": 2, "d": 1}[prompt], f"{prompt}!"))
        runs = Runs(lambda: streamer.map(model.ask, items("abcd"), concurrency=2))
        await runs.crash(3.5)
        result = await runs.end()
        assert result.value == ["a!", "b!", "c!", "d!"]
        assert model.prompts == ["a", "b", "c", "d", "b", "d"]
        assert result.usage is None

    async def test_calls_of_a_function_are_known_by_their_order(self):
        model = Model()

        async def asks() -> Any:
            first = await model.ask("a")
            second = await model.ask(first)
            return await model.ask(second)

        runs = Runs(lambda: asks)
        await runs.crash(2.9)
        assert (await runs.end()).value == "a!!!"
        assert model.began == ["t#1", "t~2#1", "t~3#1", "t~3#1"]

    async def test_both_calls_of_a_flat_map(self):
        model = Model()
        runs = Runs(
            lambda: (
                model.ask("a")
                .flat_map(lambda a: race(model.ask(a)).flat_map(model.ask))
                .map(lambda text: [text])
            )
        )
        await runs.crash(2.9)
        assert (await runs.end()).value == ["a!!!"]
        assert model.prompts == ["a", "a!", "a!!", "a!!"]

    async def test_another_question_is_not_answered_by_it(self):
        model, prompts = Model(), ["a", "other"]
        runs = Runs(lambda: sequence(model.ask(prompts.pop(0)), model.ask("b")))
        await runs.crash(1.5)
        result = await runs.end()
        assert (result.value, model.began[2:]) == (["other!", "b!"], ["t/0#2", "t/1#1"])
        assert result.possible_duplicate_calls == 2

    async def test_what_a_timeout_cut_short_is_answered_by_the_attempt_after_it(self):
        model = Model(lambda prompt, number: (60 if number == 1 else 1, f"{prompt}{number}"))
        plan = lambda: sequence(retry(2)(timeout(2)(race(model.ask("a")))), model.ask("b"))  # noqa: E731
        runs = Runs(plan)
        await runs.crash(4.5)
        result = await runs.end()
        assert model.began == ["t/0/0#1", "t/0/0#2", "t/1#1", "t/1#1", "t/1#2"][: len(model.began)]
        assert (result.value[0], [made.id for made in result.children[0].children[0].attempts]) == (
            "a2",
            ["t/0/0#2"],
        )

    async def test_the_same_answer_as_the_first_time_with_all_that_is_said_of_it(self):
        answer = Response(
            value={"n": 1},
            model="m-1",
            finish_reason="length",
            usage=Usage(output_tokens=2),
            cost=1.0,
            degraded=True,
        )
        model = Model(lambda prompt, number: answer)
        runs = Runs(lambda: model.ask("a"))
        first = await runs.crash(2)
        again = await runs.end()
        assert len(model.began) == 1
        for name in (
            "value",
            "provider",
            "model",
            "finish_reason",
            "usage",
            "cost",
            "degraded",
            "attempts",
            "status",
        ):
            assert getattr(again, name) == getattr(first, name)

    async def test_an_exception_of_foreign_code_is_raised_anew(self):
        """A retry_on could not tell it again from what is remembered."""
        model = Model(failing(1, error=LookupError("lost")))
        runs = Runs(lambda: retry(3, retry_on=LookupError, initial_delay=2)(model.ask("a")))
        await runs.crash(2)
        assert (await runs.end()).value == "a!"
        assert model.began == ["t#1", "t#1", "t#2"]

    async def test_no_call_begins_once_the_task_is_gone(self):
        model, free = Model(), Work()
        runs = Runs(lambda: sequence(model.ask("a"), FunctionTarget(free, "free")()))
        task = asyncio.ensure_future(runs.run(runs.journal))
        await asyncio.sleep(0.5)
        runs.journal.gone = True
        result = await task
        assert (result.status, result.children[1].status, free.began) == ("failed", "cancelled", [])

    async def thawed(self, plan: Any, model: Model, ours: bool) -> Result:
        """The result where after two seconds the task may be another worker's, and after eight more that is known."""
        runs = Runs(plan)
        task = asyncio.ensure_future(runs.run(runs.journal))
        await asyncio.sleep(2)
        runs.journal.unsure = True
        await asyncio.sleep(8)
        assert model.prompts == ["a"]
        runs.journal.unsure, runs.journal.gone = False, not ours
        return await task

    @pytest.mark.parametrize("ours", [True, False])
    async def test_no_call_begins_while_the_task_may_be_another_workers(self, ours):
        """A worker that was frozen goes on once its group has heard of it, if the task still is its own."""
        model, between = Model(), FunctionTarget(Work(3), "between")
        plan = lambda: sequence(model.ask("a"), between(), model.ask("b"))  # noqa: E731
        assert (await self.thawed(plan, model, ours)).status == ("succeeded" if ours else "failed")
        assert model.prompts == ["a", "b"][: 2 if ours else 1]

    @pytest.mark.parametrize("ours", [True, False])
    async def test_nor_does_a_call_begin_that_waited_for_its_slot_meanwhile(self, ours):
        model = Model(lambda prompt, number: (3, f"{prompt}!"), concurrency=1)
        await self.thawed(lambda: parallel(*map(model.ask, "abc")), model, ours)
        assert model.prompts == ["a", "b", "c"][: 3 if ours else 1]
        assert (model.ask.calls.active, model.ask.calls.peak) == (0, 1)


class TestRace:
    async def test_one_that_was_won_starts_no_loser_again(self):
        model = Model(lambda prompt, number: ({"a": 9, "b": 1, "c": 9}[prompt[0]], f"{prompt}!"))
        plan = lambda: sequence(race(*map(model.ask, "abc")), model.ask("c"))  # noqa: E731
        runs = Runs(plan)
        await runs.crash(3)
        result = await runs.end()
        assert result.value == ["b!", "c!"]
        assert model.prompts == ["a", "b", "c", "c", "c"]
        raced = result.children[0]
        assert (raced.winner, raced.provider) == (1, "model")
        assert [child.status for child in raced.children] == ["cancelled", "succeeded", "cancelled"]

    async def test_the_winner_of_an_inner_one_too(self):
        model = Model(lambda prompt, number: ({"a": 9, "b": 1, "c": 5, "d": 9}[prompt], f"{prompt}!"))
        inner = lambda: sequence(race(model.ask("a"), model.ask("b")), model.ask("c"))  # noqa: E731
        runs = Runs(lambda: race(model.ask("d"), inner()))
        await runs.crash(2)
        assert (await runs.end()).value == ["b!", "c!"]
        assert sorted(model.prompts) == ["a", "b", "c", "c", "d", "d"]

    @pytest.mark.parametrize("win_on", ["success", "completion"])
    async def test_each_time_of_one_that_is_retried(self, win_on):
        def lines(prompt: str, number: int) -> Any:
            return (1, "bad" if number == 1 else "good") if prompt == "a" else (9, "slow")

        model = Model(lines)
        refused = retry(2, retry_if_result=lambda value: value == "bad", initial_delay=1)
        runs = Runs(
            lambda: sequence(refused(race(model.ask("a"), model.ask("b"), win_on=win_on)), model.ask("b"))
        )
        await runs.crash(5)
        result = await runs.end()
        assert result.value == ["good", "slow"]
        assert model.prompts == ["a", "b", "a", "b", "b", "b"]

    async def test_that_was_won_by_the_first_to_fail_fails_again(self):
        model = Model(
            lambda prompt, number: (
                (1, CallFailed("quota", "none left")) if prompt == "a" else (9, f"{prompt}!")
            )
        )
        runs = Runs(
            lambda: fallback(race(model.ask("a"), model.ask("b"), win_on="completion"), model.ask("c"))
        )
        await runs.crash(3)
        result = await runs.end()
        assert (result.value, result.children[0].error.category) == ("c!", "quota")
        assert model.prompts == ["a", "b", "c", "c"]

    async def test_a_winner_that_has_to_be_run_again_and_fails_is_no_winner(self):
        """What it answered could not be noted; the others are asked after all."""
        fates = [object(), CallFailed("quota", "none left")]
        model = Model(lambda prompt, number: (1, fates.pop(0)) if prompt == "a" else (3, f"{prompt}!"))
        runs = Runs(lambda: race(model.ask("a"), model.ask("b")).flat_map(lambda _: model.ask("c")))
        await runs.crash(2)
        result = await runs.end()
        assert result.value == "c!"
        assert model.prompts == ["a", "b", "c", "a", "b", "c"]


class TestWhatIsJournaled:
    async def noted(self, plan: Any) -> list[str]:
        runs = Runs(lambda: plan)
        await runs.end()
        return [outcome.attempt.id for outcome in runs.journal.noted]

    async def test_calls_of_providers_but_for_the_free_ones(self):
        registry = Registry()
        assert await self.noted(registry.declare("echo:", {})("?")) == []
        assert await self.noted(registry.declare("simulated:", {})("?")) == ["t#1"]
        assert await self.noted(registry.declare("echo:", {"name": "e", "journal": True})("?")) == ["t#1"]
        assert await self.noted(Model().ask("?").timeout(5)) == ["t#1"]
        assert await self.noted(Model(journal=False).ask("?").timeout(5)) == []

    def test_what_a_provider_says_of_it_is_true_or_false(self):
        with pytest.raises(SettingsError, match="journal of provider 'echo:'"):
            Registry().declare("echo:", {"journal": "no"})

    @pytest.mark.parametrize(
        ("value", "kept"),
        [({"a": [1, None, "x", 2.5]}, True), (None, True), ((1, 2), False), (object(), False), ({1}, False)],
    )
    async def test_functions_that_ask_for_it_and_return_a_plain_value(self, value, kept):
        function = FunctionTarget(lambda: value, "f", run_in="loop", journal=True)
        assert await self.noted(function()) == (["t#1"] if kept else [])
        assert await self.noted(FunctionTarget(lambda: value, "f", run_in="loop")()) == []

    async def test_such_a_function_is_not_called_again_and_its_calls_are_paid_for(self):
        model = Model(lambda prompt, number: Response(text=f"{prompt}!", cost=0.5))
        topology, called = Topology("questions", "answers"), []

        @topology.function(journal=True)
        async def look_up(key: str) -> Any:
            called.append(key)
            return [await model.ask(key), await model.ask("b")]

        look = topology.functions["look_up"]
        runs = Runs(lambda: sequence(look("a"), model.ask("c")))
        await runs.crash(2.9)
        result = await runs.end()
        assert (result.value, called) == ([["a!", "b!"], "c!"], ["a"])
        assert (model.prompts, result.cost) == (["a", "b", "c", "c"], 1.5)

    async def test_what_such_a_function_asks_belongs_to_that_attempt_of_it(self):
        """The answer that was refused is not that to the same question when it is asked again."""
        model = Model(lambda prompt, number: (1, "good" if number == 2 else "bad"))

        async def asks() -> Any:
            return [await model.ask("a"), await model.ask("b")]

        function = FunctionTarget(asks, "asks", journal=True)
        again = retry(2, retry_if_result=lambda value: "bad" in value, initial_delay=1)
        for seconds in (2.9, 4.9):
            runs = Runs(lambda: again(function()))
            model.began.clear()
            await runs.crash(seconds)
            assert (await runs.end()).value == ["good", "good"]
            assert (len(model.began), len(set(model.began))) == ((4, 4) if seconds == 2.9 else (5, 4))

    async def test_nothing_that_was_cancelled_whatever_its_code_makes_of_it(self):
        async def loses(_: Any) -> str:
            try:
                await asyncio.sleep(9)
            except asyncio.CancelledError:
                raise CallFailed("network", "Connection lost.") from None
            return "late"

        loser = Registry().declare(loses, {"name": "loser:"})
        assert await self.noted(race(loser("?"), Model().ask("?"))) == ["t/1#1", "t#0"]

    async def test_what_cannot_be_put_into_bytes_is_asked_again(self):
        asked = []
        function = FunctionTarget(lambda thing: asked.append(thing), "f", run_in="loop", journal=True)
        assert await self.noted(function(object())) == []
        assert len(asked) == 1


class TestDuplicates:
    async def duplicates(self, plan: Any, *crashes: float) -> Any:
        runs = Runs(plan)
        for seconds in crashes:
            await runs.crash(seconds)
        return (await runs.end()).possible_duplicate_calls

    async def test_nothing_is_said_of_a_task_that_ran_once(self):
        model = Model()
        assert await self.duplicates(lambda: model.ask("a")) is UNSET
        assert (await Runs(lambda: model.ask("a")).run(None)).possible_duplicate_calls is UNSET

    async def test_none_where_all_was_remembered(self):
        model = Model()
        assert await self.duplicates(lambda: sequence(model.ask("a")), 2) == 0

    async def test_what_follows_a_call_that_none_remembered_cannot_have_begun(self):
        model = Model(failing(1))
        steps = lambda: sequence(*(retry(2)(model.ask(prompt)) for prompt in "abcdef"))  # noqa: E731
        assert await self.duplicates(steps, 4) == 1
        assert (
            await self.duplicates(lambda: sequence(parallel(*map(model.ask, "ab")), model.ask("c")), 0) == 2
        )

    async def test_all_that_ran_side_by_side_may_have(self):
        """Though in the second run one began after the other had ended."""
        seconds = iter([9.0, 0.1])

        def lines(prompt: str, number: int) -> Any:
            return (next(seconds), "a!") if prompt == "a" else (5, "b!")

        model = Model(lines)
        plan = lambda: parallel(model.ask("a"), race(Work(1)).flat_map(lambda _: model.ask("b")))  # noqa: E731
        assert await self.duplicates(plan, 2) == 2
        assert sorted(model.prompts) == ["a", "a", "b", "b"]

    async def test_what_follows_a_call_that_a_timeout_ended_may_have(self):
        seconds = iter([9.0, 1.0])

        def lines(prompt: str, number: int) -> Any:
            return (next(seconds), CallFailed("quota", "none")) if prompt == "a" else (5, "b!")

        model = Model(lines)
        plan = lambda: fallback(timeout(2)(race(model.ask("a"))), model.ask("b"))  # noqa: E731
        assert await self.duplicates(plan, 3) == 2
        assert model.prompts == ["a", "b", "a", "b"]

    async def test_what_follows_one_that_a_sibling_ended_may_have(self):
        seconds = iter([9.0, 0.1])

        def lines(prompt: str, number: int) -> Any:
            if prompt == "b":
                return 0, CallFailed("quota", "none")
            return (next(seconds), "a!") if prompt == "a" else (5, "c!")

        model = Model(lines)
        late = race(Work(1)).flat_map(lambda _: model.ask("b"))
        plan = lambda: sequence(  # noqa: E731
            parallel(model.ask("a"), late, fail_fast=True), model.ask("c"), on_error="continue"
        )
        assert await self.duplicates(plan, 3) == 2
        assert model.prompts == ["a", "b", "c", "a", "c"]

    async def test_those_of_runs_before_are_added(self):
        model = Model()
        assert await self.duplicates(lambda: sequence(*map(model.ask, "abc")), 0.5, 1.5, 0.5) == 2


LEAVES = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["call", "call", "call", "free", "function"]),
        "fates": st.lists(
            st.sampled_from(["answers", "answers", "busy", "waits", "permanent"]), min_size=1, max_size=3
        ),
        "seconds": st.sampled_from([0, 0.05, 0.5, 1, 3]),
    }
)
STEADY = ("sequence", "passes", "fallback", "retry", "long retry", "flat_map", "calls")
TIMELESS = (*STEADY, "parallel", "race")


def larger(inner: Any, ops: tuple[str, ...]) -> Any:
    return st.fixed_dictionaries({"op": st.sampled_from(ops), "of": st.lists(inner, min_size=1, max_size=3)})


def plans(ops: tuple[str, ...], leaves: Any = LEAVES) -> Any:
    return st.recursive(leaves, lambda inner: larger(inner, ops), max_leaves=7)


class Making:
    """Makes plans of their descriptions; what a call comes to depends on its place and its number alone."""

    def __init__(self, spec: Any) -> None:
        self.leaves: list[Any] = []
        self.spec = spec
        self.model = Model(self.line)

    def line(self, prompt: str, number: int) -> Any:
        leaf = self.leaves[int(prompt.partition(":")[0])]
        fates = leaf["fates"]
        match fates[min(number, len(fates)) - 1]:
            case "busy":
                return leaf["seconds"], passing(prompt)
            case "waits":
                return leaf["seconds"], CallFailed("rate_limit", "slow down", retry_after=7)
            case "permanent":
                return leaf["seconds"], CallFailed("authentication", "no key")
        return leaf["seconds"], f"{prompt}!"

    def plan(self) -> Any:
        self.leaves = []
        return race(self.make(self.spec))

    def make(self, spec: Any) -> Any:
        if "of" not in spec:
            self.leaves.append(spec)
            prompt = f"{len(self.leaves) - 1}:"
            match spec["op"]:
                case "free":
                    return Work(spec["seconds"], "free")
                case "function":

                    async def asks() -> Any:
                        return await self.model.ask(prompt)

                    return FunctionTarget(asks, "asks", journal=True)()
            return self.model.ask(prompt)
        of = [self.make(inner) for inner in spec["of"]]
        match spec["op"]:
            case "sequence":
                return sequence(*of, on_error="continue")
            case "passes":
                return sequence(*of, pass_result=True).map(str)
            case "fallback":
                return fallback(*of)
            case "retry":
                return retry(3, initial_delay=1, backoff="fixed")(of[0])
            case "long retry":
                return retry(2, initial_delay=10)(sequence(*of))
            case "flat_map":
                return race(of[0]).flat_map(lambda _: race(of[-1]))
            case "calls":

                async def calls() -> list[Any]:
                    return [await race(single) for single in of]

                return calls
            case "parallel":
                return parallel(*of, concurrency=2)
            case "race":
                return race(*of).map(lambda _: "won")
            case "fail_fast":
                return parallel(*of, fail_fast=True)
            case "timeout":
                return timeout(1.5)(race(*of))
        return race(*of, win_on="completion")


async def crashing(spec: Any, crashes: list[float]) -> tuple[Any, list[list[str]]]:
    """Run it, crash after crash, to its end; what each run called is checked against what was durable."""
    making = Making(spec)
    runs = Runs(making.plan)
    called: list[list[str]] = []
    for seconds in [*crashes, None]:
        making.model.began.clear()
        durable = runs.journal.attempts
        result = await (runs.end() if seconds is None else runs.crash(seconds))
        called.append(list(making.model.began))
        for attempt in called[-1]:
            path, _, number = attempt.removeprefix("t").rpartition("#")
            assert all(known < int(number) for at, known in durable if at == path), (attempt, durable)
        assert others() == set()
    return result, called


COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
CRASHES = st.lists(st.floats(0, 12), min_size=1, max_size=3)


@COMMON
@given(plans((*TIMELESS, "fail_fast", "timeout", "completion")), CRASHES)
async def test_paid_once(spec, crashes):
    """Whatever was durable at a crash is not called again, and the doubled calls are at most so many."""
    await crashing(spec, crashes)
    result, called = await crashing(spec, crashes[:1])
    assert len(set(called[0]) & set(called[1])) <= result.possible_duplicate_calls


@COMMON
@given(plans(TIMELESS), CRASHES)
async def test_the_result_is_that_of_an_uninterrupted_run(spec, crashes):
    """Where it does not depend on who is quicker."""
    expected = await Runs(Making(spec).plan).run(None)
    result, _ = await crashing(spec, crashes)
    assert (result.status, result.value) == (expected.status, expected.value)


@COMMON
@given(plans(STEADY, LEAVES.filter(lambda leaf: leaf["op"] != "function")), st.floats(0, 12))
async def test_of_calls_one_after_another_at_most_one_is_in_doubt(spec, seconds):
    result, _ = await crashing(spec, [seconds])
    assert result.possible_duplicate_calls <= 1
