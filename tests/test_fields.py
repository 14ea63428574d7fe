"""Every field of every task has an effect, or is refused: nothing pretends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from streamer.engine import Engine
from streamer.errors import CallFailed, Category
from streamer.events import RetryScheduled
from streamer.limits import Limit
from streamer.operators.hedging import Hedging
from streamer.providers import Registry, Request
from streamer.providers.echo import Echo
from streamer.providers.function import FunctionTarget
from streamer.results import Result, Status
from streamer.tasks import KINDS, Message, Retry, Task, Timeouts

pytestmark = pytest.mark.virtual_time

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
ASK = {"kind": "llm", "model": "echo:", "prompt": "Hello"}
FAIL = {**ASK, "model": "fail:"}
SLOW = {**ASK, "model": "slow:"}
VALID: dict[str, dict[str, Any]] = {
    "llm": ASK,
    "function": {"kind": "function", "name": "add", "arguments": [1, 2]},
    "parallel": {"kind": "parallel", "tasks": [ASK]},
    "race": {"kind": "race", "tasks": [ASK]},
    "fallback": {"kind": "fallback", "tasks": [ASK]},
    "sequence": {"kind": "sequence", "tasks": [ASK]},
    "map": {"kind": "map", "items": [1], "task": ASK},
    "consensus": {"kind": "consensus", "tasks": [ASK, ASK]},
    "workflow": {"kind": "workflow", "steps": [{"id": "a", "task": ASK}]},
    "plan": {"kind": "plan", "goal": "Sum up"},
}
HANGING: dict[str, dict[str, Any]] = {
    "llm": {**ASK, "model": "hang:"},
    "function": {"kind": "function", "name": "hang"},
    **{
        kind: {"kind": kind, "tasks": [{**ASK, "model": "hang:"}]}
        for kind in ("parallel", "race", "fallback", "sequence")
    },
    "map": {"kind": "map", "items": [1], "task": {**ASK, "model": "hang:"}},
    "consensus": {"kind": "consensus", "tasks": [{**ASK, "model": "hang:"}] * 2},
}
FAILING: dict[str, dict[str, Any]] = {
    "llm": FAIL,
    "function": {"kind": "function", "name": "fail"},
    **{kind: {"kind": kind, "tasks": [FAIL]} for kind in ("parallel", "race", "fallback", "sequence")},
    "map": {"kind": "map", "items": [1], "task": FAIL},
    "consensus": {"kind": "consensus", "tasks": [FAIL, ASK]},
}


class World:
    """An engine with scripted providers and functions, and all that they were asked."""

    def __init__(self) -> None:
        registry = Registry()
        self.echo = Echo(keep_calls=True)
        self.running = self.most = 0
        self.delays: list[float] = []
        answers: dict[str, Callable[[Request], Any]] = {
            "fail": self.fail,
            "hang": self.hang,
            "slow": self.slow,
        }
        registry.declare(self.echo, {"name": "echo:"})
        for name, answer in answers.items():
            registry.declare(answer, {"name": f"{name}:"})
        functions: dict[str, Callable[..., Any]] = {"add": self.add, "hang": self.hang, "fail": self.fail}
        self.functions = {name: FunctionTarget(function, name) for name, function in functions.items()}
        self.engine = Engine(
            providers=registry, functions=self.functions, listener=self.heard, hedging=Hedging()
        )

    async def run(self, task: dict[str, Any]) -> Result:
        return await self.engine.run(msgspec.convert(task, Task))

    def heard(self, event: Any) -> None:
        if isinstance(event, RetryScheduled):
            self.delays.append(event.delay)

    async def add(self, a: int, b: int) -> int:
        return a + b

    async def hang(self, *_: Any) -> None:
        await asyncio.Event().wait()

    async def fail(self, *_: Any) -> None:
        raise CallFailed(Category.NETWORK, "Broken.")

    async def slow(self, request: Request) -> str:
        """Answers after as many seconds as its prompt says."""
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(float(request.prompt))
        self.running -= 1
        return request.prompt


Row = Callable[[World], Awaitable[None]]
ROWS: dict[tuple[str, str], Row] = {}


def row(kind: str, field: str) -> Callable[[Row], Row]:
    """What shows that a field of a kind has an effect, or is refused."""

    def register(check: Row) -> Row:
        assert (kind, field) not in ROWS, f"two rows for {kind}.{field}"
        ROWS[kind, field] = check
        return check

    return register


def is_refused(result: Result, name: str) -> None:
    """The task has failed, its field or kind is named, and nothing was called."""
    assert result.status is Status.FAILED
    assert result.error is not None
    assert result.error.category is Category.INVALID_REQUEST
    assert f"`{name}`" in result.error.message or repr(name) in result.error.message
    assert not result.attempts


def refused(kind: str, field: str, value: Any, name: str | None = None) -> None:
    """A row: the field is refused by its name, at the root and in a child."""

    @row(kind, field)
    async def check(world: World) -> None:
        task = {**VALID[kind], field: value}
        is_refused(await world.run(task), name or field)
        is_refused(await world.run({"kind": "parallel", "tasks": [ASK, task]}), name or field)
        assert not world.echo.calls


def begins(world: World, begun: list[Any]) -> tuple[Callable[[str], dict[str, Any]], Limit]:
    """What makes a task's leaf one that begins one at a time, and the limit that sees to it."""
    one = Limit(1)

    async def answer(what: Any) -> None:
        begun.append(what if isinstance(what, str) else what.prompt)

    world.engine.providers.declare(answer, {"name": "begin:", "concurrency": one})
    world.functions["begin"] = FunctionTarget(answer, "begin", concurrency=one)

    def leaf(name: str) -> dict[str, Any]:
        return {
            "model": "begin:",
            "prompt": name,
            "name": "begin",
            "arguments": [name],
            "tasks": [{**ASK, "model": "begin:", "prompt": name}] * 2,
            "task": {**ASK, "model": "begin:", "prompt": name},
        }

    return leaf, one


def plain(value: Any) -> Any:
    """As it would be sent."""
    return msgspec.json.decode(msgspec.json.encode(value))


def fields_of(kind: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


# --- kinds whose engine is to come are refused as a whole

for kind in ("workflow", "plan"):
    for field in fields_of(KINDS[kind]):

        @row(kind, field)
        async def the_kind_is_refused(world: World, kind: str = kind) -> None:
            is_refused(await world.run(VALID[kind]), kind)
            is_refused(await world.run({"kind": "race", "tasks": [ASK, VALID[kind]]}), kind)
            assert not world.echo.calls


# --- what every kind has

for kind in HANGING:

    @row(kind, "id")
    async def the_id_is_the_results(world: World, kind: str = kind) -> None:
        result = await world.run({**VALID[kind], "id": "q-17"})
        assert (result.task_id, result.status) == ("q-17", Status.SUCCEEDED)
        assert all(child.task_id == f"q-17/{at}" for at, child in enumerate(result.each_child()))

    @row(kind, "tag")
    async def the_tag_is_copied(world: World, kind: str = kind) -> None:
        tagged = {**VALID[kind], "tag": "t"}
        assert (await world.run(tagged)).tag == "t"
        parent = await world.run({"kind": "parallel", "tasks": {"a": tagged, "b": VALID[kind]}})
        assert [child.tag for child in parent.each_child()] == ["t", "b"]

    @row(kind, "metadata")
    async def the_metadata_is_copied(world: World, kind: str = kind) -> None:
        marked = {**VALID[kind], "metadata": {"user": [5]}}
        assert (await world.run(marked)).metadata == {"user": [5]}
        parent = await world.run({"kind": "parallel", "tasks": [marked]})
        assert (parent.metadata, parent.each_child()[0].metadata) == (None, {"user": [5]})

    @row(kind, "timeout")
    async def the_timeout_ends_it(world: World, kind: str = kind) -> None:
        result = await world.run({**HANGING[kind], "timeout": 5})
        assert (result.status, result.duration) == (Status.TIMED_OUT, pytest.approx(5))
        assert result.error is not None
        assert result.error.category is Category.TIMEOUT

    @row(kind, "deadline")
    async def nothing_is_called_after_the_deadline(world: World, kind: str = kind) -> None:
        for task in (VALID[kind], {"kind": "parallel", "tasks": [VALID[kind]]}):
            result = await world.run({**task, "deadline": LONG_AGO})
            assert result.status is Status.TIMED_OUT
            assert result.error is not None
            assert result.error.category is Category.DEADLINE
        late = await world.run({"kind": "parallel", "tasks": [{**VALID[kind], "deadline": LONG_AGO}, ASK]})
        assert [child.status for child in late.each_child()] == [Status.TIMED_OUT, Status.SUCCEEDED]
        assert len(world.echo.calls) == 1

    @row(kind, "retry")
    async def the_retry_holds_for_the_leaves(world: World, kind: str = kind) -> None:
        result = await world.run({**FAILING[kind], "retry": {"max_attempts": 3}})
        assert (result.status, result.retries) == (Status.FAILED, 2)
        nearest = {**FAILING[kind], "retry": {"max_attempts": 2}}
        result = await world.run({"kind": "parallel", "tasks": [nearest], "retry": {"max_attempts": 5}})
        assert result.retries == 1
        assert (await world.run(FAILING[kind])).retries == 0

    @row(kind, "priority")
    async def of_those_that_wait_the_higher_begins_first(world: World, kind: str = kind) -> None:
        begun: list[Any] = []
        ask, one = begins(world, begun)
        tasks = [
            {
                **VALID[kind],
                **{k: v for k, v in ask(str(number)).items() if k in VALID[kind]},
                "priority": priority,
            }
            for number, priority in enumerate((0, 1, 5, 1))
        ]
        await one.acquire()
        asked = [asyncio.ensure_future(world.run(task)) for task in tasks]
        await asyncio.sleep(1)
        one.give()
        await asyncio.gather(*asked)
        assert list(dict.fromkeys(begun)) == ["2", "1", "3", "0"]

    refused(kind, "resources", {"gpu": 1})


# --- llm


@row("llm", "model")
async def the_model_is_asked(world: World) -> None:
    result = await world.run({**SLOW, "prompt": "3"})
    assert (result.provider, result.value, result.duration) == ("slow", "3", pytest.approx(3))
    is_refused(await world.run({**ASK, "model": "nobody:x"}), "nobody:x")


@row("llm", "messages")
async def the_messages_are_sent(world: World) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert (await world.run({"kind": "llm", "model": "echo:", "messages": messages})).value == "Hello"
    assert plain(world.echo.calls[0].messages) == messages


@row("llm", "prompt")
async def the_prompt_is_sent(world: World) -> None:
    assert (await world.run({**ASK, "prompt": "You"})).value == "You"
    assert world.echo.calls[0].messages == (Message(role="user", content="You"),)


@row("llm", "system")
async def the_system_goes_before_the_prompt(world: World) -> None:
    await world.run({**ASK, "system": "Be brief."})
    assert world.echo.calls[0].messages[0] == Message(role="system", content="Be brief.")


@row("llm", "parameters")
async def the_parameters_are_passed_through(world: World) -> None:
    await world.run({**ASK, "parameters": {"temperature": 0.5, "anything": [1]}})
    assert world.echo.calls[0].parameters == {"temperature": 0.5, "anything": [1]}


refused("llm", "response_schema", {"type": "object"})
refused("llm", "tools", [{"type": "function"}])
refused("llm", "guardrails", ["no names"])
refused("llm", "stream", True)

# --- function


@row("function", "name")
async def the_function_of_that_name_is_called(world: World) -> None:
    assert (await world.run(VALID["function"])).value == 3
    is_refused(await world.run({"kind": "function", "name": "subtract"}), "subtract")


@row("function", "arguments")
async def the_arguments_go_by_position_or_by_name(world: World) -> None:
    assert (await world.run({"kind": "function", "name": "add", "arguments": [1, 5]})).value == 6
    assert (await world.run({"kind": "function", "name": "add", "arguments": {"b": 1, "a": 6}})).value == 7


# --- parallel


@row("parallel", "tasks")
async def all_tasks_are_run(world: World) -> None:
    again = {**ASK, "prompt": "You"}
    assert (await world.run({"kind": "parallel", "tasks": [ASK, again]})).value == ["Hello", "You"]
    result = await world.run({"kind": "parallel", "tasks": {"a": ASK, "b": again}})
    assert result.value == {"a": "Hello", "b": "You"}


@row("parallel", "concurrency")
async def so_many_run_at_once(world: World) -> None:
    many = {"kind": "parallel", "tasks": [{**SLOW, "prompt": "1"}] * 6}
    assert (await world.run({**many, "concurrency": 2})).duration == pytest.approx(3)
    assert world.most == 2
    assert (await world.run(many)).duration == pytest.approx(1)


@row("parallel", "fail_fast")
async def a_failure_stops_the_others(world: World) -> None:
    both = {"kind": "parallel", "tasks": [FAIL, {**SLOW, "prompt": "5"}]}
    assert (await world.run({**both, "fail_fast": True})).duration == pytest.approx(0)
    assert (await world.run(both)).duration == pytest.approx(5)


@row("parallel", "require")
async def so_many_must_succeed(world: World) -> None:
    both = {"kind": "parallel", "tasks": [ASK, FAIL]}
    outcomes = [(await world.run({**both, "require": r})).succeeded for r in ("all", "any", "none", 0, 1, 2)]
    assert outcomes == [False, True, True, True, True, False]


@row("parallel", "reduce")
async def the_values_become_one(world: World) -> None:
    both = {"kind": "parallel", "tasks": [VALID["function"]] * 2}
    assert [(await world.run({**both, "reduce": r})).value for r in ("sum", "count")] == [6, 2]
    texts = {"kind": "parallel", "tasks": [ASK, FAIL, ASK], "require": "any", "reduce": "concat"}
    assert (await world.run(texts)).value == "HelloHello"


# --- race


@row("race", "tasks")
async def the_first_to_succeed_wins(world: World) -> None:
    result = await world.run(
        {"kind": "race", "tasks": [FAIL, {**SLOW, "prompt": "5"}, {**SLOW, "prompt": "1"}]}
    )
    assert (result.winner, result.value, result.duration) == (2, "1", pytest.approx(1))


@row("race", "win_on")
async def the_first_to_end_wins(world: World) -> None:
    both = {"kind": "race", "tasks": [{**SLOW, "prompt": "1"}, FAIL]}
    assert (await world.run(both)).winner == 0
    result = await world.run({**both, "win_on": "completion"})
    assert (result.winner, result.status) == (1, Status.FAILED)


@row("race", "hedge_delay")
async def the_next_starts_only_after_it(world: World) -> None:
    both = {"kind": "race", "tasks": [{**SLOW, "prompt": "9"}, {**SLOW, "prompt": "1"}]}
    assert (await world.run({**both, "hedge_delay": 3})).duration == pytest.approx(4)
    assert (await world.run({**both, "hedge_delay": "p95"})).duration == pytest.approx(3)
    result = await world.run({**both, "hedge_delay": 10})
    assert [child.status for child in result.each_child()] == [Status.SUCCEEDED, Status.SKIPPED]


# --- fallback


@row("fallback", "tasks")
async def the_next_is_asked_after_a_failure(world: World) -> None:
    result = await world.run({"kind": "fallback", "tasks": [FAIL, ASK, ASK]})
    assert (result.winner, result.value, len(world.echo.calls)) == (1, "Hello", 1)


@row("fallback", "on")
async def only_after_such_a_failure(world: World) -> None:
    both = {"kind": "fallback", "tasks": [FAIL, ASK]}
    assert (await world.run({**both, "on": ["network"]})).succeeded
    assert not (await world.run({**both, "on": ["quota"]})).succeeded


# --- sequence


@row("sequence", "tasks")
async def one_after_another(world: World) -> None:
    result = await world.run(
        {"kind": "sequence", "tasks": [{**SLOW, "prompt": "1"}, {**SLOW, "prompt": "2"}]}
    )
    assert (result.value, result.duration, world.most) == (["1", "2"], pytest.approx(3), 1)


@row("sequence", "on_error")
async def what_follows_a_failure(world: World) -> None:
    both = {"kind": "sequence", "tasks": [FAIL, ASK]}
    stopped, went_on = await world.run(both), await world.run({**both, "on_error": "continue"})
    assert [child.status for child in stopped.each_child()] == [Status.FAILED, Status.SKIPPED]
    assert [child.status for child in went_on.each_child()] == [Status.FAILED, Status.SUCCEEDED]


@row("sequence", "pass_result")
async def the_answer_before_is_handed_over(world: World) -> None:
    both = {"kind": "sequence", "tasks": [ASK, {**ASK, "prompt": "And?"}]}
    await world.run(both)
    await world.run({**both, "pass_result": True})
    handed_over = [[message.content for message in call.messages] for call in world.echo.calls]
    assert handed_over == [["Hello"], ["And?"], ["Hello"], ["Hello", "And?"]]


# --- map


@row("map", "items")
async def a_task_for_each(world: World) -> None:
    assert (await world.run({"kind": "map", "items": ["a", "b"], "task": ASK})).value == ["Hello"] * 2
    assert (await world.run({"kind": "map", "items": [], "task": ASK})).value == []


@row("map", "task")
async def rendered_with_its_item(world: World) -> None:
    task = {**ASK, "prompt": "{{ index }}: {{ item }}"}
    assert (await world.run({"kind": "map", "items": ["a", "b"], "task": task})).value == ["0: a", "1: b"]


def seconds(*items: int, **fields: Any) -> dict[str, Any]:
    return {"kind": "map", "items": list(items), "task": {**SLOW, "prompt": "{{ item | string }}"}, **fields}


@row("map", "concurrency")
async def so_many_items_at_once(world: World) -> None:
    result = await world.run(seconds(1, 1, 1, 1, 1, 1, concurrency=2))
    assert (world.most, result.duration) == (2, pytest.approx(3))


@row("map", "batch_size")
async def a_batch_ends_before_the_next_begins(world: World) -> None:
    result = await world.run(seconds(1, 5, 1, 5, batch_size=2))
    assert (world.most, result.duration) == (2, pytest.approx(10))


@row("map", "require")
async def how_many_items_must_succeed(world: World) -> None:
    task = {**ASK, "model": "{{ item }}"}
    both = {"kind": "map", "items": ["echo:", "fail:"], "task": task}
    assert [(await world.run({**both, "require": r})).succeeded for r in ("all", "any", 2)] == [
        False,
        True,
        False,
    ]


@row("map", "reduce")
async def one_value_of_all_items(world: World) -> None:
    task = {**VALID["function"], "arguments": ["{{ item }}", "{{ index }}"]}
    result = await world.run({"kind": "map", "items": [1, 2.5], "task": task, "reduce": "sum"})
    assert result.value == 4.5


# --- consensus


def votes(*prompts: str, **fields: Any) -> dict[str, Any]:
    """A consensus of echoes."""
    return {"kind": "consensus", "tasks": [{**ASK, "prompt": prompt} for prompt in prompts], **fields}


@row("consensus", "tasks")
async def the_value_is_what_they_agree_on(world: World) -> None:
    result = await world.run(votes("a", "b", "a"))
    assert (result.value, result.agreement) == ("a", pytest.approx(2 / 3))


@row("consensus", "strategy")
async def they_are_counted_by_it(world: World) -> None:
    result = await world.run(votes("a", "b", "a", strategy="unanimous"))
    assert result.error is not None
    assert result.error.category is Category.NO_AGREEMENT


@row("consensus", "weights")
async def the_weights_are_votes(world: World) -> None:
    assert (await world.run(votes("a", "b", "a", strategy="weighted", weights=[1, 8, 1]))).value == "b"


@row("consensus", "compare")
async def they_are_compared_by_it(world: World) -> None:
    outcomes = [(await world.run(votes("It is 42.", "42", compare=c))).succeeded for c in ("exact", "number")]
    assert outcomes == [False, True]


@row("consensus", "threshold")
async def so_similar_they_are_alike(world: World) -> None:
    outcomes = [
        (await world.run(votes("Paris", "Pariss", compare="similarity", threshold=t))).succeeded
        for t in (0.8, 0.99)
    ]
    assert outcomes == [True, False]


@row("consensus", "minimum_agreement")
async def so_many_must_agree(world: World) -> None:
    outcomes = [(await world.run(votes("a", "b", minimum_agreement=m))).succeeded for m in (0.5, 0.6)]
    assert outcomes == [True, False]


# --- retry


async def delays(world: World, **retry: Any) -> list[float]:
    """The back-offs of a call that never succeeds."""
    world.delays.clear()
    await world.run({**FAIL, "retry": {"max_attempts": 5, "initial_delay": 2, **retry}})
    return list(world.delays)


@row("retry", "max_attempts")
async def so_often_and_no_more(world: World) -> None:
    for number in (1, 2, 5):
        assert len((await world.run({**FAIL, "retry": {"max_attempts": number}})).attempts) == number


@row("retry", "initial_delay")
async def the_first_delay(world: World) -> None:
    assert (await delays(world, initial_delay=3))[0] == 3


@row("retry", "max_delay")
async def no_delay_is_longer(world: World) -> None:
    assert await delays(world, max_delay=5) == [2, 4, 5, 5]


@row("retry", "backoff")
async def how_the_delays_grow(world: World) -> None:
    assert await delays(world, backoff="fixed") == [2, 2, 2, 2]
    assert await delays(world, backoff="linear") == [2, 4, 6, 8]
    assert await delays(world, backoff="exponential") == [2, 4, 8, 16]
    assert await delays(world, backoff="jitter") == pytest.approx([2, 4, 8, 16], rel=0.1)
    decorrelated = await delays(world, backoff="decorrelated")
    assert all(2 <= delay <= 60 for delay in decorrelated)
    assert decorrelated[0] == 2


@row("retry", "multiplier")
async def by_how_much_they_grow(world: World) -> None:
    assert await delays(world, multiplier=3) == [2, 6, 18, 54]


@row("retry", "jitter")
async def by_how_much_they_differ(world: World) -> None:
    assert await delays(world, backoff="jitter", jitter=0) == [2, 4, 8, 16]
    assert await delays(world, backoff="jitter", jitter=0.5) != [2, 4, 8, 16]


@row("retry", "retry_on")
async def after_which_failures(world: World) -> None:
    assert len(await delays(world, retry_on=["network"])) == 4
    assert await delays(world, retry_on=["quota"]) == []


# --- timeout, as an object


@row("timeouts", "attempt")
async def the_clock_of_each_attempt(world: World) -> None:
    task = {**HANGING["llm"], "timeout": {"attempt": 2}, "retry": {"max_attempts": 2, "initial_delay": 1}}
    result = await world.run(task)
    assert [attempt.duration for attempt in result.attempts] == pytest.approx([2, 2])
    assert (result.status, result.duration) == (Status.TIMED_OUT, pytest.approx(5))


@row("timeouts", "queue")
async def the_clock_of_the_wait_for_a_slot(world: World) -> None:
    one = Limit(1)
    world.engine.providers.declare(world.slow, {"name": "one:", "concurrency": one})
    await one.acquire()
    result = await world.run({**ASK, "model": "one:", "timeout": {"queue": 2}})
    assert (result.status, result.duration, result.attempts) == (Status.TIMED_OUT, pytest.approx(2), ())


@row("timeouts", "connect")
async def the_clock_of_the_connection(world: World) -> None:
    """Whoever has none refuses it."""
    asked: list[Request] = []

    class Connects:
        connects = True

        async def answer(self, request: Request) -> str:
            asked.append(request)
            return "x"

    world.engine.providers.declare(Connects(), {"name": "connects:"})
    assert (await world.run({**ASK, "model": "connects:", "timeout": {"connect": 2}})).succeeded
    assert asked[0].connect_timeout == 2
    is_refused(await world.run({**ASK, "timeout": {"connect": 1}}), "timeout.connect")


async def tokens(request: Request) -> Any:
    """As many as the prompt has words, after so many seconds each."""
    for seconds in request.prompt.split():
        await asyncio.sleep(float(seconds))
        yield "token"


for clock, late in (("first_token", "3 1 1"), ("between_tokens", "1 1 3")):

    @row("timeouts", clock)
    async def the_clock_of_a_stream(world: World, clock: str = clock, late: str = late) -> None:
        """Whoever does not stream refuses it."""
        world.engine.providers.declare(tokens, {"name": "tokens:"})
        timed = {**ASK, "model": "tokens:", "timeout": {clock: 2}}
        assert (await world.run({**timed, "prompt": "1 1 1 1"})).succeeded
        result = await world.run({**timed, "prompt": late})
        assert (result.status, result.error.category) == (Status.TIMED_OUT, Category.TIMEOUT)
        assert clock in result.error.message
        is_refused(await world.run({**ASK, "timeout": {clock: 1}}), f"timeout.{clock}")


# --- messages


async def sent(world: World, **message: Any) -> Any:
    """A message as the provider gets it."""
    await world.run({"kind": "llm", "model": "echo:", "messages": [message]})
    return plain(world.echo.calls[-1].messages[0])


@row("message", "role")
async def who_says_it(world: World) -> None:
    for role in ("system", "developer", "user", "assistant", "tool"):
        assert await sent(world, role=role, content="x") == {"role": role, "content": "x"}


@row("message", "content")
async def what_is_said(world: World) -> None:
    for content in ("Hello", [{"type": "text", "text": "Hello"}]):
        assert await sent(world, role="user", content=content) == {"role": "user", "content": content}


@row("message", "tool_calls")
async def which_tools_were_called(world: World) -> None:
    said = {"role": "assistant", "tool_calls": [{"id": "1", "type": "function"}]}
    assert await sent(world, **said) == said


@row("message", "tool_call_id")
async def which_call_is_answered(world: World) -> None:
    said = {"role": "tool", "content": "3", "tool_call_id": "1"}
    assert await sent(world, **said) == said


# --- the walk

STRUCTS: dict[str, type[msgspec.Struct]] = {**KINDS, "retry": Retry, "timeouts": Timeouts, "message": Message}
FIELDS = [(kind, field) for kind, struct in STRUCTS.items() for field in fields_of(struct)]


@pytest.mark.parametrize(("kind", "field"), FIELDS)
async def test_a_field_has_an_effect_or_is_refused(kind: str, field: str) -> None:
    """Each field has a row of its own above; one without fails here."""
    check = ROWS.get((kind, field))
    assert check is not None, f"{kind}.{field} has no row: show its effect, or that it is refused"
    await check(World())


def test_every_row_is_of_a_field() -> None:
    """No row is about a field that is no more."""
    assert ROWS.keys() == set(FIELDS)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_task_without_them_is_not_refused(kind: str) -> None:
    """What is refused above is refused for the field, unless it is the kind."""
    result = await World().run(VALID[kind])
    assert result.succeeded or kind in ("workflow", "plan")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resources", {"gpu": 1}),
        ("stream", True),
        ("tools", [{}]),
        ("timeout", {"connect": 1}),
    ],
)
async def test_a_topologys_own_answer_pretends_nothing_either(field: str, value: Any) -> None:
    """What has no effect yet is refused as well where Python says how a task is answered."""
    world = World()
    world.engine.answer = lambda task: world.engine.providers.resolve("echo:")(task)
    assert (await world.run(ASK)).succeeded
    is_refused(await world.run({**ASK, field: value}), "timeout.connect" if field == "timeout" else field)
