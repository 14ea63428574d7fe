"""X11: one after another, in order; it stops or goes on as its policy says; what one answered the next is told."""

import msgspec
import pytest

from streamer import fallback, parallel, retry, sequence
from streamer.errors import ChildrenFailed
from streamer.operators.policy import Policy
from streamer.providers.echo import Echo
from streamer.providers.registry import Registry
from streamer.tasks import Llm, Message
from tests.acceptance.topology import call
from tests.operators.doubles import Script, Work, now, passing, result_of

pytestmark = pytest.mark.virtual_time


def four():
    return [Work(1, "a"), Work(1, error=RuntimeError("b")), Work(1, "c"), Work(1, "d")]


def provider(script):
    echo = Echo(script, keep_calls=True)
    return echo, Registry().declare(echo, {"name": "model"})


async def test_x11_one_at_a_time_and_in_order():
    works = [Work(3, "a"), Work(1, "b"), Work(2, "c")]
    assert await sequence(*works) == ["a", "b", "c"]
    assert [work.began for work in works] == [[0], [3], [4]]


@pytest.mark.parametrize("given", [{}, {"on_error": "stop"}, {"fail_fast": True}], ids=str)
async def test_x11_it_stops_and_keeps_what_came_before(given):
    works = four()
    with pytest.raises(ChildrenFailed) as caught:
        await sequence(*works, **given)
    assert caught.value.value == ["a", None, None, None], "earlier values are not lost"
    assert caught.value.failures[1] is works[1].error
    assert now() == 2


@pytest.mark.parametrize("given", [{"on_error": "continue"}, {"fail_fast": False}], ids=str)
async def test_x11_or_goes_on_and_says_so_in_the_end(given):
    works = four()
    with pytest.raises(ChildrenFailed) as caught:
        await sequence(*works, **given)
    assert caught.value.value == ["a", None, "c", "d"]
    assert list(caught.value.failures) == [1]


@pytest.mark.parametrize("stops", [True, False])
async def test_x11_one_policy_for_steps_one_after_another_and_side_by_side(stops):
    """The same failure with the same settings: the chain stops in both modes, or in neither."""
    in_order = await result_of(sequence(*four(), fail_fast=stops))
    side_by_side = await result_of(parallel(*four(), concurrency=1, fail_fast=stops))
    assert in_order.value == side_by_side.value
    assert [c.status for c in in_order.children] == [c.status for c in side_by_side.children]
    assert (Policy(fail_fast=stops).stops(1, 4), in_order.status) == (stops, "failed")


async def test_x11_the_next_is_told_the_answer_before_its_own_question():
    """As one assistant message, and not the last one, which some providers take for the beginning of the answer."""
    echo, model = provider(["first answer", "second answer", "third answer"])
    conversation = (Message(role="system", content="Be brief."), Message(role="user", content="two?"))
    asked = [model("one?"), model(Llm(messages=conversation)), model("three?")]
    assert await sequence(*asked, pass_result=True) == ["first answer", "second answer", "third answer"]
    assert [[(m.role, m.content) for m in request.messages] for request in echo.calls] == [
        [("user", "one?")],
        [("system", "Be brief."), ("assistant", "first answer"), ("user", "two?")],
        [("assistant", "second answer"), ("user", "three?")],
    ]


async def test_x11_a_failure_hands_over_what_was_answered_before_it():
    echo, model = provider(["first", RuntimeError("no"), "third"])
    with pytest.raises(ChildrenFailed):
        await sequence(model("1?"), model("2?"), model("3?"), pass_result=True, on_error="continue")
    assert [len(request.messages) for request in echo.calls] == [1, 2, 2]
    assert echo.calls[2].messages[0].content == "first"


async def test_x11_hand_over_reaches_through_what_is_around_a_call():
    echo, model = provider(["first", passing(), "second", "third"])
    retried = retry(2, initial_delay=1)(model("2?"))
    both = sequence(model("1?"), fallback(retried, model("?")), parallel(model("3?")), pass_result=True)
    assert await both == ["first", "second", ["third"]]
    assert [request.messages[0].content for request in echo.calls] == ["1?", "first", "first", "second"]


async def test_x11_values_that_nobody_mutates_but_who_made_them():
    """Steps share nothing but what is handed over: the task itself cannot be changed under way."""
    task = Llm(prompt="?")
    with pytest.raises(AttributeError):
        task.prompt = "!"  # type: ignore[misc]
    assert msgspec.structs.replace(task, prompt="!").prompt == "!"
    assert await sequence(Script("a"), Script("b")) == ["a", "b"]


STEPS = [call("say", "a"), call("fail", "b"), call("say", "c")]
WIRE = {
    "x11-stop": {"kind": "sequence", "tasks": STEPS},
    "x11-continue": {"kind": "sequence", "on_error": "continue", "tasks": STEPS},
    "x11-pass": {
        "kind": "sequence",
        "pass_result": True,
        "tasks": [
            call("say", "answer"),
            {"kind": "llm", "model": "simulated:m?latency=0", "prompt": "second question"},
        ],
    },
}


async def test_x11_on_the_wire(answer):
    stopped = await answer("x11-stop")
    assert (stopped["status"], stopped["value"]) == ("failed", ["a", None, None])
    assert [child["status"] for child in stopped["children"]] == ["succeeded", "failed", "skipped"]
    went_on = await answer("x11-continue")
    assert (went_on["status"], went_on["value"]) == ("failed", ["a", None, "c"])
    passed = await answer("x11-pass")
    assert passed["value"] == ["answer", "second question"]
