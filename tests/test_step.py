"""The path of a step: its identity, which attempts, idempotency keys and the journal go by."""

import asyncio

import pytest

from streamer import fallback, parallel, race, retry, sequence
from streamer.engine import Engine
from streamer.events import AttemptStarted
from streamer.operand import as_single
from streamer.providers.registry import Registry
from streamer.scope import Scope
from streamer.step import Step
from tests.operators.doubles import Script, passing

pytestmark = pytest.mark.virtual_time


async def attempts_of(plan) -> list[str]:
    """The ids of all attempts that the engine makes for it, in the order they begin."""
    ids = []

    def listener(event):
        if isinstance(event, AttemptStarted):
            ids.append(event.attempt_id)

    await Engine(lambda _: plan, listener=listener).run(None, task_id="t")
    return ids


def model(*lines):
    script = Script(*lines)
    return Registry().declare(lambda request: script(), {"name": "model"})


async def test_a_call_alone_stands_at_the_root():
    assert await attempts_of(model("a")("x")) == ["t#1"]


async def test_retry_timeout_and_map_add_nothing():
    ask = model(passing(), "a")
    assert await attempts_of(ask("x").timeout(5).retry(2).timeout(60).map(str)) == ["t#1", "t#2"]


@pytest.mark.parametrize("combine", [parallel, race, sequence])
async def test_a_child_adds_its_index(combine):
    ask = model("a")
    assert await attempts_of(combine(ask("x"), ask("y"))) == ["t/0#1", "t/1#1"]


async def test_or_its_name():
    ask = model("a")
    assert await attempts_of(parallel({"one": ask("x"), "two": ask("y")})) == ["t/one#1", "t/two#1"]


async def test_a_candidate_adds_its_index():
    ask = model(ValueError(), "a")
    assert await attempts_of(fallback(ask("x"), ask("y"))) == ["t/0#1", "t/1#1"]


async def test_combinators_nest():
    ask = model("a")
    plan = sequence(parallel({"b": ask("x"), "c": ask("y")}), fallback(race(ask("z"))))
    assert await attempts_of(plan) == ["t/0/b#1", "t/0/c#1", "t/1/0/0#1"]


async def test_names_cannot_be_taken_for_paths():
    ask = model("a")
    ids = await attempts_of(
        parallel({"a/0": ask("x"), "a": parallel(ask("y")), "b~2": ask("z"), "c#1": ask("")})
    )
    assert len(ids) == len(set(ids)) == 4
    assert ids[1:] != ["t/a/0#1"]


async def test_further_calls_of_a_function_are_numbered_in_start_order():
    ask = model("a")

    async def asks():
        await ask("x")
        await asyncio.gather(ask("y"), ask("z"))

    assert await attempts_of(as_single(asks)) == ["t#1", "t~2#1", "t~3#1"]


async def test_a_function_that_begins_anew_makes_the_same_calls():
    ask = model("a")
    outcomes = [passing(), None]

    async def asks():
        await ask("x")
        await ask("y")
        if error := outcomes.pop(0):
            raise error

    assert await attempts_of(retry(2)(asks)) == ["t#1", "t~2#1", "t#2", "t~2#2"]


async def test_flat_map_is_two_calls():
    ask = model("a")
    assert await attempts_of(ask("x").flat_map(lambda _: ask("y"))) == ["t#1", "t~2#1"]


async def test_a_child_of_the_same_name_is_the_same_step():
    step, one = Step(Scope("t")), as_single(lambda: 1)
    assert step.child(0, one) is step.child(0, one)
    assert step.child("a", one).path == "/a"
