"""A task in, one Result out: what is inherited, what is summed, what is left out, and what it says of failures."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from streamer import fallback, function, llm, parallel, race, retry, sequence, timeout
from streamer.engine import Engine
from streamer.errors import CallFailed, Category, ChildrenFailed, SettingsError
from streamer.events import AttemptEnded, AttemptStarted, RetryScheduled, TaskEnded
from streamer.providers.function import FunctionTarget
from streamer.providers.protocol import Request, Response
from streamer.providers.registry import Registry, provider
from streamer.results import Result, Status, Usage
from streamer.tasks import Llm, Retry, Task
from tests.operators.doubles import Script, Work, cancelled_after, now, others, passing

ASK = {"kind": "llm", "model": "echo:", "prompt": "Hello"}
FLAKY = {**ASK, "model": "flaky:"}
SLOW = {**ASK, "model": "slow:"}
PAID = Usage(input_tokens=10, output_tokens=1)


class World:
    """An engine with scripted models: echo:, flaky: (always busy), slow: (10 s), paid: and refused: (both cost)."""

    def __init__(self, **settings: Any) -> None:
        registry = Registry()
        self.slow = Work(10, "slow")
        self.asked: list[Request] = []
        self.events: list[Any] = []
        for name, answer in {
            "echo:": self.echo,
            "flaky:": Script(passing()),
            "slow:": self.slow,
            "paid:": lambda: Response(
                text="paid", usage=PAID, cost=0.5, model="paid-1", finish_reason="length"
            ),
            "refused:": Script(CallFailed("content_filter", "Withheld.", usage=PAID, cost=0.25)),
        }.items():
            registry.declare(answer if name == "echo:" else without_request(answer), {"name": name})
        functions = {
            "add": FunctionTarget(lambda a, b: a + b, "add", run_in="loop"),
            "wait": FunctionTarget(asyncio.sleep, "wait"),
            "divide": divide,
        }
        self.engine = Engine(providers=registry, functions=functions, listener=self.events.append, **settings)

    def echo(self, request: Request) -> str:
        self.asked.append(request)
        return request.prompt

    async def run(self, task: dict[str, Any], **settings: Any) -> Result:
        return await self.engine.run(msgspec.convert(task, Task), task_id="t", **settings)


def divide(a: float, by: float) -> float:
    return a / by


def without_request(answer: Any) -> Any:
    return lambda _: answer()


async def result_of(plan: Any, **settings: Any) -> Result:
    return await Engine(lambda _: plan).run(None, task_id="t", **settings)


def in_seconds(seconds: float) -> datetime:
    return datetime.fromtimestamp(time.time() + seconds, UTC)


class TestInheritance:
    @pytest.mark.parametrize(
        ("task", "default", "attempts"),
        [
            (FLAKY, None, 1),
            (FLAKY, Retry(max_attempts=4), 4),
            ({**FLAKY, "retry": {}}, Retry(max_attempts=4), 3),
            ({**FLAKY, "retry": {"max_attempts": 1}}, Retry(max_attempts=4), 1),
            ({"kind": "race", "retry": {"max_attempts": 2}, "tasks": [FLAKY]}, Retry(max_attempts=4), 2),
            ({"kind": "race", "retry": {}, "tasks": [{"kind": "sequence", "tasks": [FLAKY]}]}, None, 3),
            (
                {"kind": "race", "retry": {}, "tasks": [{**FLAKY, "retry": {"max_attempts": 2}}]},
                None,
                2,
            ),
            (
                {
                    "kind": "race",
                    "retry": {},
                    "tasks": [{"kind": "fallback", "retry": {"max_attempts": 5}, "tasks": [FLAKY]}],
                },
                None,
                5,
            ),
        ],
    )
    async def test_of_the_retry_the_nearest_holds_as_a_whole(self, task, default, attempts):
        result = await World(retry=default).run(task)
        while result.each_child():
            result = result.each_child()[0]
        assert len(result.attempts) == attempts

    async def test_a_combinator_itself_is_never_run_again(self):
        world = World()
        result = await world.run({"kind": "sequence", "retry": {}, "tasks": [ASK, FLAKY]})
        assert (len(world.asked), len(result.children[1].attempts)) == (1, 3)

    @pytest.mark.parametrize("own", [5, 60])
    @pytest.mark.parametrize("header", [None, 3, 80])
    async def test_of_deadlines_the_earliest_holds(self, own, header):
        at = None if header is None else time.time() + header
        result = await World().run(
            {"kind": "race", "tasks": [{**SLOW, "deadline": in_seconds(own)}]}, deadline=at
        )
        expected = min(own, header or 100, 10)
        assert result.duration == pytest.approx(expected, abs=0.5)
        child = result.children[0]
        if expected < 10:
            assert (child.status, child.error.category) == (Status.TIMED_OUT, Category.DEADLINE)
            assert (child.attempts[0].outcome, child.attempts[0].category) == ("timed_out", "deadline")
        else:
            assert child.status is Status.SUCCEEDED

    async def test_past_its_deadline_nothing_is_called(self):
        world = World()
        result = await world.run({**ASK, "deadline": in_seconds(-1)})
        assert (result.status, result.error.category, world.asked) == ("timed_out", "deadline", [])
        result = await world.run({"kind": "race", "tasks": [{**ASK, "deadline": in_seconds(-1)}]})
        assert (result.children[0].status, world.asked) == (Status.TIMED_OUT, [])

    async def test_the_deadline_of_a_task_that_a_topology_makes_holds(self):
        made = Llm(model="slow:", prompt="?", deadline=in_seconds(3))
        world = World(answer=lambda _: made)
        result = await world.run(ASK)
        assert (result.status, result.error.category) == ("timed_out", "deadline")

    @pytest.mark.parametrize("model", ["slow:", "flaky:"])
    async def test_so_does_that_of_a_task_that_a_provider_is_called_with(self, model):
        """Its retries end with it as well; others go on."""
        call = World().engine.providers.resolve(model)
        made = Llm(model=model, prompt="?", deadline=in_seconds(3), retry=Retry(initial_delay=9))
        result = await result_of(parallel(call(made), Work(5, "later"), require="any"))
        assert [child.status for child in result.children] == ["timed_out", "succeeded"]
        assert result.children[0].error.category == "deadline"

    @pytest.mark.parametrize("deadline", [float("nan"), float("inf"), "soon"])
    def test_what_is_no_instant_is_refused(self, deadline):
        with pytest.raises(ValueError, match="deadline is in seconds since the epoch, not"):
            Engine().run(llm("?"), deadline=deadline)


class TestTimeouts:
    async def test_of_a_leaf_every_attempt_has_its_own(self):
        result = await World().run({**SLOW, "timeout": 2, "retry": {"initial_delay": 1, "backoff": "fixed"}})
        assert (result.status, result.duration) == ("timed_out", 8)
        assert [attempt.category for attempt in result.attempts] == ["timeout"] * 3

    @pytest.mark.parametrize("kind", ["parallel", "race", "fallback", "sequence"])
    async def test_of_a_combinator_it_bounds_the_whole(self, kind):
        world = World()
        result = await world.run({"kind": kind, "timeout": 4, "tasks": [{**SLOW, "timeout": 9}]})
        assert (result.status, result.error.category, result.duration) == ("timed_out", "timeout", 4)
        assert (result.children[0].status, world.slow.alive) == (Status.CANCELLED, 0)

    @pytest.mark.parametrize("kind", ["parallel", "sequence"])
    async def test_what_was_finished_is_kept_and_every_child_accounted_for(self, kind):
        task = {"kind": kind, "timeout": 4, "tasks": [ASK, SLOW, ASK]}
        result = await World().run(task | ({"concurrency": 1} if kind == "parallel" else {}))
        assert (result.status, result.value) == ("timed_out", ["Hello", None, None])
        assert [child.status for child in result.children] == ["succeeded", "cancelled", "skipped"]

    async def test_the_same_by_name_and_at_the_deadline(self):
        task = {"kind": "parallel", "concurrency": 1, "tasks": {"a": ASK, "b": SLOW, "c": ASK}}
        result = await World().run({**task, "deadline": in_seconds(4)})
        assert (result.status, result.value) == ("timed_out", {"a": "Hello", "b": None, "c": None})
        assert {name: str(child.status) for name, child in result.children.items()} == {
            "a": "succeeded",
            "b": "timed_out",
            "c": "skipped",
        }


class TestChildren:
    async def test_leave_out_the_value_that_their_parent_holds_at_the_same_place(self):
        task = {
            "kind": "parallel",
            "require": "any",
            "tasks": {"a": ASK, "b": {"kind": "race", "tasks": [ASK, SLOW]}, "c": FLAKY},
        }
        result = await World().run(task)
        assert result.value == {"a": "Hello", "b": "Hello", "c": None}
        a, b, c = result.each_child()
        assert (a.value, b.value, c.value) == (msgspec.UNSET, msgspec.UNSET, None)
        assert [child.value for child in b.children] == [msgspec.UNSET, None]

    @pytest.mark.parametrize(
        ("plan", "value"),
        [
            (parallel(lambda: [1], lambda: [2], reduce="concat"), [1, 2]),
            (parallel({"a": lambda: {"a": 1}, "b": lambda: {"b": 2}}, reduce="merge"), {"a": 1, "b": 2}),
            (parallel(lambda: 1.5, lambda: 2.5).map(lambda values: values[::-1]), [2.5, 1.5]),
            (race(lambda: [1]).map(len), 1),
        ],
    )
    async def test_keep_theirs_where_it_became_another(self, plan, value):
        result = await result_of(plan)
        assert result.value == value
        assert msgspec.UNSET not in [child.value for child in result.each_child()]

    async def test_of_a_reduction_that_cannot_be_keep_theirs(self):
        result = await result_of(parallel(lambda: "x", lambda: 1, reduce="sum"))
        assert (result.status, result.error.category) == ("failed", "invalid_response")
        assert [child.value for child in result.children] == ["x", 1]

    async def test_a_requirement_that_is_not_met_is_the_error_whatever_the_reduction(self):
        fails = Work(0, error=passing())
        result = await result_of(parallel(lambda: "x", fails, reduce="sum"))
        assert (result.error.category, result.value) == ("overloaded", None)
        result = await result_of(parallel(lambda: 3, fails, reduce="sum"))
        assert (result.error.category, result.value) == ("overloaded", 3)

    async def test_an_answer_that_cannot_be_handed_over_fails_its_step_alone(self):
        plan = sequence(object, Registry().declare(lambda _: "x", {"name": "m"})("?"), pass_result=True)
        result = await result_of(plan)
        assert [child.status for child in result.children] == ["succeeded", "failed"]


class TestSums:
    async def test_losers_and_failures_were_paid_for_too(self):
        paid, refused = {**ASK, "model": "paid:"}, {**ASK, "model": "refused:"}
        result = await World().run(
            {
                "kind": "fallback",
                "on": ["content_filter"],
                "tasks": [refused, {"kind": "race", "tasks": [paid, paid]}],
            }
        )
        assert (result.usage, result.cost) == (Usage(input_tokens=30, output_tokens=3), 1.25)
        assert (result.provider, result.model, result.finish_reason) == ("paid", "paid-1", "length")

    async def test_attempts_of_a_functions_calls_are_its_own(self):
        ask = World().engine.providers.resolve("paid:")

        async def asks() -> Any:
            await ask("?")
            return await race(ask("?"), ask("?"))

        result = await result_of(asks())
        assert len(result.attempts) == 3
        assert result.usage == Usage(input_tokens=30, output_tokens=3)

    async def test_nothing_is_known_of_what_nobody_counted(self):
        result = await World().run(ASK)
        assert (result.usage, result.cost) == (None, None)


class TestFailures:
    async def test_a_cancelled_error_of_user_code_is_that_tasks_outcome_only(self):
        async def cancels() -> None:
            raise asyncio.CancelledError("mine")

        result = await result_of(sequence(cancels, lambda: 1, on_error="continue"))
        assert (result.status, result.value) == ("failed", [None, 1])
        assert [child.status for child in result.children] == ["cancelled", "succeeded"]
        assert result.children[0].error.message == "mine"
        assert (await result_of(cancels())).status is Status.CANCELLED

    @pytest.mark.parametrize(
        "wrap", [lambda f: race(f), lambda f: sequence(f), lambda f: fallback(f), parallel]
    )
    async def test_so_is_that_of_a_mapper(self, wrap):
        def cancels(_: Any) -> None:
            raise asyncio.CancelledError

        result = await result_of(wrap(race(lambda: 1).map(cancels)))
        assert result.children[0].status is Status.CANCELLED
        assert others() == set()

    async def test_the_exception_itself_is_there_in_this_process(self):
        mine = KeyError("mine")
        result = await result_of(race(Work(0, error=mine)))
        assert result.children[0].error.exception is mine
        assert isinstance(result.error.exception, ChildrenFailed)
        assert result.error.exception.failures == {0: mine}

    async def test_an_exception_may_say_nothing_or_what_is_no_text(self):
        class Mute(Exception):
            provider = object()
            value = object()

            def __str__(self) -> str:
                raise RuntimeError("no words")

        result = await result_of(Work(0, error=Mute())())
        assert (result.error.type, result.error.message, result.error.provider, result.value) == (
            "Mute",
            "Mute",
            None,
            None,
        )
        result = await result_of(Work(0, error=ValueError("\ud800 lost"))())
        assert result.error.message == "? lost"

    @pytest.mark.parametrize(
        ("task", "words"),
        [
            ({**ASK, "model": None}, "names no model"),
            ({**ASK, "model": "nobody:x"}, "nobody:x"),
            ({"kind": "function", "name": "nobody"}, "nobody"),
            ({"kind": "function", "name": "divide", "arguments": [1]}, "missing a required argument: 'by'"),
            ({"kind": "function", "name": "divide", "arguments": {"a": 1, "by": 2, "c": 3}}, "argument 'c'"),
            ({"kind": "map", "items": "{{ inputs.all }}", "task": ASK}, "`items` is an array"),
            ({"kind": "map", "items": [], "task": {**ASK, "prompt": "{{ itm }}"}}, "at `$.task.prompt`"),
            ({"kind": "consensus", "tasks": [ASK, {"kind": "plan", "goal": "x"}]}, "plan"),
            ({**ASK, "resources": {"gpu": 1}}, "resources"),
            ({"kind": "race", "tasks": [ASK, {**ASK, "stream": True}]}, "stream"),
        ],
    )
    async def test_what_cannot_be_run_is_refused_before_anything_is_called(self, task, words):
        world = World()
        result = await world.run(task)
        assert (result.status, result.error.category, world.asked) == ("failed", "invalid_request", [])
        assert words in result.error.message

    async def test_a_topology_is_told_as_well(self):
        world = World(answer=lambda task: "answered")
        assert (await world.run(ASK)).value == "answered"
        assert (await world.run({**ASK, "resources": {"gpu": 1}})).error.category == "invalid_request"


class TestOutside:
    @pytest.mark.parametrize("seconds", [0, 1])
    async def test_cancellation_starts_nothing_and_leaves_nothing(self, seconds):
        first, second = Work(5, error=passing(), cleanup=0.5), Work(5)
        engine = Engine(lambda _: fallback(retry(3)(race(first, first)), second))
        await cancelled_after(seconds, engine.run(None))
        assert (len(first.began) == 2, first.alive, second.began, others()) == (True, 0, [], set())
        assert now() == seconds + 0.5


class TestTasks:
    async def test_have_an_id_in_any_case(self):
        world = World()
        assert (await world.engine.run(Llm(id="mine", model="echo:", prompt="?"))).task_id == "mine"
        assert len((await world.engine.run(Llm(model="echo:", prompt="?"))).task_id) == 36

    async def test_may_be_structs_of_the_users(self):
        class Question(msgspec.Struct):
            id: str
            text: str

        result = await Engine(lambda task: race(lambda: task.text)).run(Question("q", "why"))
        assert (result.task_id, result.kind, result.value) == ("q", "Question", "why")

    async def test_or_singles(self):
        result = await Engine().run(race(lambda: 1), task_id="t")
        assert (result.kind, result.value, len(result.children)) == ("race", 1, 1)

    async def test_may_call_functions_that_the_engine_alone_knows(self):
        """A script needs no topology for them."""

        async def double(n):
            return 2 * n

        functions = {"double": double, "half": FunctionTarget(lambda n: n / 2, "half", run_in="loop")}
        engine = Engine(functions=functions)
        result = await engine.run(parallel(function("double", 21), function("half", 42)))
        assert result.value == [42, 21]
        with pytest.raises(SettingsError, match="functions: 'text' is 'double', which can't be called"):
            Engine(functions={"text": "double"})

    async def test_or_callables(self):
        result = await Engine().run(lambda: race(lambda: 1), task_id="t")
        assert (result.kind, result.value) == ("function", 1)

    @pytest.mark.parametrize(
        ("given", "said"),
        [("Hello", "not str"), (ASK, r"not dict; a task as JSON is decoded .*Decoder\(\)\.decode")],
    )
    async def test_what_is_neither_is_said(self, given, said):
        result = await Engine().run(given)
        assert result.status is Status.FAILED
        assert re.search(said, result.error.message)

    async def test_bring_tag_and_metadata_along(self):
        result = await World().run({**ASK, "tag": "t", "metadata": {"user": 5}})
        assert (result.tag, result.metadata) == ("t", {"user": 5})

    async def test_are_told_of_in_order(self):
        world = World()
        result = await world.run({**FLAKY, "retry": {"max_attempts": 2}})
        assert [type(event) for event in world.events] == [
            AttemptStarted,
            AttemptEnded,
            RetryScheduled,
            AttemptStarted,
            AttemptEnded,
            TaskEnded,
        ]
        assert world.events[-1].result is result


class TestResult:
    async def test_of_a_single_never_errors(self):
        result = await race(Work(1, error=passing()), Work(2, error=KeyError("x"))).result()
        assert (result.status, result.kind, result.duration) == ("failed", "race", 2)
        assert [child.error.category for child in result.children] == ["overloaded", "internal"]

    async def test_of_a_timed_out_one_has_what_was_finished(self):
        result = await timeout(3)(sequence(lambda: 1, Work(5))).result()
        assert (result.status, result.value) == ("timed_out", [1, None])

    async def test_in_a_task_is_one_of_its_steps(self):
        async def asks() -> Any:
            first, second = await race(lambda: 1).result(), await race(Work(0, error=passing())).result()
            return [first.task_id, second.task_id, first.succeeded, second.succeeded]

        assert (await result_of(asks())).value == ["t", "t~2", True, False]

    async def test_cancelled_from_outside_there_is_none(self):
        await cancelled_after(1, race(Work(5)).result())
        assert others() == set()

    @pytest.mark.parametrize("operator", [parallel, race, sequence, fallback])
    @pytest.mark.parametrize("deep", [200, 400, 2_000])
    async def test_however_deep_it_nests_there_is_one(self, operator, deep):
        paid = Response(text="paid", usage=PAID)
        nested = Registry().declare(lambda _: paid, {"name": "paid:"})("Hello")
        for _ in range(deep):
            nested = operator(nested)
        result = await Engine().run(nested)
        if deep == 200:
            assert (result.status, result.usage) == ("succeeded", PAID)
        else:
            assert (result.status, result.error.category) == ("failed", "internal")
            assert "nests too deeply" in result.error.message
        if deep == 400:
            assert (result.usage, len(result.attempts)) == (PAID, 1)


@pytest.mark.parametrize("name", ["answer", "listener"])
def test_what_is_no_function_is_refused_where_one_belongs(name):
    with pytest.raises(SettingsError, match=f"{name} of an Engine is a function, not 3"):
        Engine(**{name: 3})


async def test_what_a_task_says_of_itself_holds_for_a_call_made_of_it():
    """Id, tag, metadata and the deadline are the task's, also where a program has made its provider's call already."""
    late = datetime.now(UTC) + timedelta(seconds=0.5)
    task = llm("x", id="mine", tag="t", metadata={"a": 1}, deadline=late)
    result = await Engine().run(provider("simulated:slow?latency=60")(task))
    assert (result.task_id, result.tag, result.metadata) == ("mine", "t", {"a": 1})
    assert (result.status, result.error.category) == ("timed_out", "deadline")


async def test_what_was_skipped_ended_with_its_parent():
    """Not when the whole task did: whoever draws a task by its times sees what happened."""
    result = await Engine().run(parallel(sequence(Work(1, error=passing()), Work(1)), Work(3)))
    stopped = result.children[0]
    skipped = stopped.children[1]
    assert skipped.status == "skipped"
    assert skipped.started_at == skipped.finished_at == stopped.finished_at < result.finished_at
