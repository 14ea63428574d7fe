"""The identity of a step: what stands where in a task has the same id, in every run of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streamer import fallback, parallel, race, retry, sequence, timeout
from streamer.engine import Engine
from streamer.operand import as_single
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from streamer.results import Result
from streamer.tasks import Task
from tests.operators.doubles import Script, Work, passing

MODEL = {"kind": "llm", "model": "model:", "prompt": "?"}


def ask(function: Callable[..., Any] = lambda: "answer") -> Any:
    return Registry().declare(lambda _: function(), {"name": "model:"})("?")


async def result_of(plan: Any) -> Result:
    return await Engine(lambda _: plan() if callable(plan) else plan).run(None, task_id="t")


async def ids(plan: Any) -> list[str]:
    """The ids of all attempts, from the root down."""

    def below(result: Result) -> list[str]:
        found = [attempt.id for attempt in result.attempts]
        for child in result.each_child():
            found += below(child)
        return found

    return below(await result_of(plan))


async def wire(task: dict[str, Any], *lines: Any, **functions: Callable[..., Any]) -> Result:
    registry = Registry()
    registry.declare(lambda _: script(), {"name": "model:"})
    script = Script(*(lines or ("answer",)))
    targets = {name: FunctionTarget(function, name) for name, function in functions.items()}
    return await Engine(providers=registry, functions=targets).run(msgspec.convert(task, Task), task_id="t")


class TestChildren:
    async def test_have_index_or_name(self):
        task = {
            "kind": "parallel",
            "tasks": {
                "a": MODEL,
                "b": {"kind": "race", "tasks": [MODEL, {"kind": "sequence", "tasks": [MODEL]}]},
            },
        }
        result = await wire(task)
        assert list(result.children) == ["a", "b"]
        race = result.children["b"]
        assert [result.task_id, result.children["a"].task_id, race.task_id] == ["t", "t/a", "t/b"]
        assert [child.task_id for child in race.children] == ["t/b/0", "t/b/1"]
        assert race.children[1].children[0].task_id == "t/b/1/0"
        assert result.children["a"].attempts[0].id == "t/a#1"
        assert race.children[1].children[0].attempts[0].id == "t/b/1/0#1"

    async def test_a_childs_own_id_is_not_its_identity(self):
        result = await wire({"kind": "race", "tasks": [{**MODEL, "id": "mine"}]})
        assert result.children[0].task_id == "t/0"

    async def test_names_cannot_be_taken_for_paths(self):
        plan = parallel({"a": parallel({"b": ask()}), "a/b": ask(), "a~2": ask(), "a#1": ask(), "50%": ask()})
        assert await ids(plan) == ["t/a/b#1", "t/a%2Fb#1", "t/a%7E2#1", "t/a%231#1", "t/50%25#1"]

    async def test_a_named_child_is_tagged_with_its_name(self):
        result = await wire({"kind": "parallel", "tasks": {"a": MODEL, "b": {**MODEL, "tag": "own"}}})
        assert [child.tag for child in result.each_child()] == ["a", "own"]


class TestAttempts:
    async def test_of_a_retry_are_counted_on(self):
        assert await ids(ask(Script(passing(), passing(), "answer")).retry(3)) == ["t#1", "t#2", "t#3"]

    async def test_timeouts_and_maps_add_nothing(self):
        plan = timeout(60)(retry(2)(ask().timeout(10)).map(str))
        assert await ids(plan) == ["t#1"]

    async def test_of_a_combinator_that_is_retried_go_on_at_the_same_steps(self):
        plan = retry(3)(race(ask(Script(passing(), passing(), "answer")), ask(Script(passing()))))
        result = await result_of(plan)
        assert [[a.id for a in child.attempts] for child in result.children] == [
            ["t/0#1", "t/0#2", "t/0#3"],
            ["t/1#1", "t/1#2", "t/1#3"],
        ]
        assert (result.winner, result.value) == (0, "answer")

    async def test_what_was_skipped_or_won_in_an_earlier_run_is_forgotten(self):
        """The first run is refused for its value; in the second the other candidate answers."""
        first, second = Script("bad", passing("gone")), Script("good")
        plan = retry(2, retry_if_result=lambda value: value == "bad")(fallback(ask(first), ask(second)))
        result = await result_of(plan)
        assert (result.value, result.winner) == ("good", 1)
        assert [child.status for child in result.children] == ["failed", "succeeded"]
        assert [len(child.attempts) for child in result.children] == [2, 1]

    async def test_what_answered_in_an_earlier_run_does_not_answer_for_a_failure(self):
        plan = retry(2, retry_if_result=lambda value: True)(ask(Script("bad", passing())))
        result = await result_of(plan)
        assert (result.status, result.provider, result.value) == ("failed", None, None)

    async def test_a_race_that_fails_in_its_second_run_has_no_winner(self):
        plan = retry(2, retry_if_result=lambda value: True)(race(ask(Script("bad", passing()))))
        result = await result_of(plan)
        assert (result.status, result.winner, result.children[0].value) == ("failed", msgspec.UNSET, None)


class TestCalls:
    async def test_of_a_function_are_numbered_from_the_second_on(self):
        async def three() -> Any:
            return [await ask(), await ask(), await race(ask(), ask(lambda: Work(9)()))]

        assert await ids(three) == ["t#1", "t~2#1", "t~3/0#1", "t~3/1#1"]

    async def test_that_it_ends_in_are_calls_like_the_others(self):
        async def ends_in_another() -> Any:
            await ask()
            return ask()

        assert await ids(ends_in_another) == ["t#1", "t~2#1"]

    async def test_of_a_first_call_are_kept_apart_from_its_siblings(self):
        async def two() -> Any:
            return [await ask(), await ask()]

        async def nested() -> Any:
            return [await as_single(two), await as_single(two)]

        assert await ids(nested) == ["t#1", "t~1~2#1", "t~2#1", "t~2~2#1"]

    async def test_flat_map_is_two_calls(self):
        plan = ask().flat_map(lambda _: ask()).flat_map(lambda _: ask())
        assert await ids(plan) == ["t#1", "t~1~2#1", "t~2#1"]

    async def test_of_a_registered_function_come_after_its_own(self):
        """It is an attempt itself, at the path that its first call would have."""

        async def calls() -> Any:
            return [await ask(), await ask()]

        assert await ids(FunctionTarget(calls, "f")()) == ["t#1", "t~2#1", "t~3#1"]

    @pytest.mark.parametrize("run_in", ["thread", "loop"])
    async def test_of_what_a_registered_function_ends_in(self, run_in):
        target = FunctionTarget(lambda: race(ask()), "f", run_in=run_in)
        assert await ids(target()) == ["t#1", "t~2/0#1"]

    async def test_of_a_function_that_is_retried_are_the_same_calls(self):
        script = Script("a", passing(), "b", "c")

        async def two() -> Any:
            return [await ask(script), await ask(script)]

        result = await result_of(retry(2)(two))
        assert result.value == ["b", "c"]
        assert [attempt.id for attempt in result.attempts] == ["t#1", "t~2#1", "t#2", "t~2#2"]

    async def test_in_children_have_the_childs_path(self):
        async def two() -> Any:
            return [await ask(), await ask()]

        assert await ids(sequence(two, two)) == ["t/0#1", "t/0~2#1", "t/1#1", "t/1~2#1"]

    async def test_of_an_awaited_script_are_not_those_of_the_next(self):
        """The attempt's id is an idempotency key: two awaits are two calls."""
        seen = []
        target = Registry().declare(lambda request: seen.append(request.attempt_id), {"name": "model"})
        await target("?")
        await target("?")
        assert len(set(seen)) == 2
        assert {one[-2:] for one in seen} == {"#1"}


async def test_ids_are_the_same_in_every_run():
    """A crash changes nothing: what is asked again is asked by the same name."""

    async def two() -> Any:
        return parallel(await ask(), ask(Script(passing(), "x")).retry(2)) if False else race(ask(), ask())

    def plan() -> Any:
        flaky = Script(passing(), passing(), "x")
        return fallback(
            race(ask(Script(passing())), retry(2)(ask(Script(passing())))),
            sequence(two, parallel({"a": retry(3)(ask(flaky)), "b": two})),
        )

    first = await ids(plan)
    assert first == await ids(plan)
    assert len(first) == len(set(first)) > 8
