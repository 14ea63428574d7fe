"""consensus: what most of all that were asked agree on."""

import asyncio
from typing import Any

import msgspec
import pytest

from streamer import Status, consensus, timeout
from streamer.engine import Engine
from streamer.errors import CallFailed, Category, ChildrenFailed
from streamer.tasks import Task
from tests.engine.memory import Model, Runs
from tests.operators.doubles import Work, cancelled_after, now, others, passing, result_of


async def test_the_majority_is_the_value():
    assert await consensus(Work(1, "a"), Work(2, "b"), Work(3, "a")) == "a"
    assert now() == 3


async def test_the_value_is_as_the_lowest_index_gave_it():
    assert await consensus(Work(3, "Paris."), Work(1, "paris"), compare="normalized") == "Paris."


@pytest.mark.parametrize("compare", ["exact", "normalized", "json", "number", "similarity"])
async def test_42_does_not_agree_with_24(compare):
    with pytest.raises(CallFailed) as caught:
        await consensus(lambda: "42", lambda: "24", compare=compare)
    assert caught.value.category is Category.NO_AGREEMENT


async def test_the_share_is_of_all_that_were_asked():
    """One answer of five is no majority."""
    result = await result_of(consensus(Work(1, "a"), *(Work(error=passing()) for _ in range(4))))
    assert (result.status, result.error.category) == (Status.FAILED, Category.NO_AGREEMENT)
    assert (result.agreement, result.value) == (0.2, None)
    assert "4 failed" in result.error.message
    assert result.children[0].value == "a"


async def test_the_result_says_how_many_agree():
    result = await result_of(consensus(lambda: "a", lambda: "a", lambda: "b"))
    assert (result.value, result.agreement) == ("a", pytest.approx(2 / 3))
    assert [child.value for child in result.children] == ["a", "a", "b"]
    assert result.winner is msgspec.UNSET


async def test_a_value_that_is_a_list_hides_no_childs_value():
    result = await result_of(consensus(lambda: [1, 2], lambda: 2, minimum_agreement=0.5))
    assert [child.value for child in result.children] == [[1, 2], 2]


async def test_if_all_fail_the_error_holds_every_failure_with_its_index():
    failures = [passing("a"), ValueError("b")]
    with pytest.raises(ChildrenFailed) as caught:
        await consensus(Work(2, error=failures[0]), Work(1, error=failures[1]))
    assert caught.value.failures == dict(enumerate(failures))


class TestStopsEarly:
    """once somebody has answered and no answer to come could be enough."""

    async def test_unanimous_after_the_first_that_disagrees(self):
        slow = Work(9, "a", cleanup=0.5)
        with pytest.raises(CallFailed, match="unanimous"):
            await consensus(Work(1, "a"), Work(2, "b"), slow, strategy="unanimous")
        assert (now(), slow.cancelled, slow.alive) == (2.5, 1, 0)
        assert not others()

    async def test_unanimous_after_a_failure(self):
        result = await result_of(
            consensus(Work(1, error=passing()), Work(2, "a"), Work(9, "a"), strategy="unanimous")
        )
        assert (result.error.category, result.duration) == (Category.NO_AGREEMENT, 2)
        states = [child.status for child in result.children]
        assert states == [Status.FAILED, Status.SUCCEEDED, Status.CANCELLED]

    async def test_a_majority_that_is_out_of_reach(self):
        tasks = [Work(1 + index, value) for index, value in enumerate("abcde")]
        result = await result_of(consensus(*tasks, concurrency=2, minimum_agreement=0.8))
        assert [child.status for child in result.children][3:] == [Status.CANCELLED, Status.SKIPPED]

    async def test_but_not_when_a_majority_is_certain(self):
        """How many agree is part of the answer."""
        result = await result_of(consensus(Work(1, "a"), Work(1, "a"), Work(5, "a")))
        assert (result.agreement, result.duration) == (1, 5)

    async def test_nor_before_anybody_has_answered(self):
        """Whether all fail does not depend on who fails first."""
        with pytest.raises(ChildrenFailed):
            await consensus(*(Work(i, error=passing()) for i in range(3)), strategy="unanimous")
        assert now() == 2

    async def test_likeness_leaves_everything_open(self):
        """The last may be like both."""
        plan = consensus(
            Work(1, "aaaaaa"),
            Work(2, "aaaabb"),
            Work(3, "aaaaab"),
            strategy="unanimous",
            compare="similarity",
        )
        assert await plan == "aaaaab"


async def test_so_many_run_at_a_time():
    tasks = [Work(1, "a") for _ in range(6)]
    assert await consensus(*tasks, concurrency=2) == "a"
    assert [task.began[0] for task in tasks] == [0, 0, 1, 1, 2, 2]


async def test_cancelled_from_outside_it_leaves_nobody_running():
    tasks = [Work(9, cleanup=0.5), Work(9)]
    await cancelled_after(1, consensus(*tasks))
    assert [task.cancelled for task in tasks] == [1, 1]
    assert not others()


async def test_a_timeout_ends_it_and_what_was_answered_is_told():
    result = await result_of(timeout(5)(consensus(Work(1, "a"), Work(9, "a"))))
    assert result.status is Status.TIMED_OUT
    assert [child.status for child in result.children] == [Status.SUCCEEDED, Status.CANCELLED]


async def test_what_cannot_be_compared_is_its_failure():
    with pytest.raises(CallFailed, match="bytearray"):
        await consensus(lambda: bytearray(b"a"), Work(9))
    assert not others()


@pytest.mark.parametrize("settings", [{"concurrency": 0}, {"concurrency": True}, {"weights": [1, 1]}])
def test_settings_are_judged_when_made(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        consensus(Work(), Work(), **settings)


@pytest.mark.parametrize("tasks", [[], [Work()]])
def test_fewer_than_two_tasks_are_refused(tasks):
    with pytest.raises(ValueError, match="at least two"):
        consensus(*tasks)


async def test_what_was_answered_before_a_crash_is_not_asked_again():
    model = Model(lambda prompt, number: ({"a": 1, "b": 2, "c": 9}[prompt], "same"))
    runs = Runs(lambda: consensus(*map(model.ask, "abc")))
    await runs.crash(4)
    result = await runs.end()
    assert (result.value, result.agreement) == ("same", 1)
    assert model.prompts == ["a", "b", "c", "c"]


def ask(prompt: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "llm", "model": "echo:", "prompt": prompt, **fields}


async def test_the_kind_of_the_wire_is_the_same():
    tasks = [ask("The answer is 42."), ask("The answer is 24."), ask("It is 42")]
    for compare, agreement in (("number", 2 / 3), ("similarity", 1 / 3), ("exact", 1 / 3)):
        task = msgspec.convert({"kind": "consensus", "tasks": tasks, "compare": compare}, Task)
        result = await Engine().run(task)
        assert (result.kind, result.agreement) == ("consensus", pytest.approx(agreement))
        assert result.succeeded == (compare == "number")
    task = msgspec.convert(
        {
            "kind": "consensus",
            "tasks": tasks,
            "strategy": "best",
            "weights": [0, 1, 0],
            "minimum_agreement": 0,
        },
        Task,
    )
    assert (await Engine().run(task)).value == "The answer is 24."


async def test_each_run_is_a_consensus_of_its_own():
    plan = consensus(Work(1, "a"), Work(2, "a"))
    assert await asyncio.gather(plan.started(), plan.started()) == ["a", "a"]
