"""sequence: one after another, all of them."""

import asyncio
from functools import partial

import pytest

from streamer import Status, in_thread, parallel, retry, sequence
from streamer.errors import Category, ChildrenFailed, Skipped
from streamer.operand import as_single
from streamer.providers.registry import Registry
from tests.operators.doubles import Work, cancelled_after, cancels_itself, now, others, passing, result_of


async def test_they_run_one_at_a_time_and_in_order():
    works = [Work(2, "a"), Work(1, "b"), Work(3, "c")]
    assert await sequence(*works) == ["a", "b", "c"]
    assert [work.began for work in works] == [[0], [2], [3]]


@pytest.mark.parametrize("settings", [{}, {"on_error": "continue"}, {"pass_result": True}])
async def test_of_nothing_it_is_empty(settings):
    assert await sequence(**settings) == []


async def test_after_a_failure_nothing_more_begins():
    error = passing()
    later = Work()
    with pytest.raises(ChildrenFailed) as caught:
        await sequence(Work(value="a"), Work(error=error), later, later)
    assert later.began == []
    assert caught.value.value == ["a", None, None, None]
    assert caught.value.failures[1] is error
    assert [type(caught.value.failures[i]) for i in (2, 3)] == [Skipped, Skipped]
    assert next(iter(caught.value.failures)) == 1


async def test_or_it_goes_on_and_fails_at_the_end():
    error = passing()
    with pytest.raises(ChildrenFailed) as caught:
        await sequence(Work(error=error), Work(value="b"), on_error="continue")
    assert caught.value.failures == {0: error}
    assert caught.value.value == [None, "b"]


@pytest.mark.parametrize("mapped", [False, True])
async def test_a_step_that_raises_cancelled_error_only_fails(mapped):
    step = as_single(lambda: 1).map(lambda _: cancels_itself()) if mapped else cancels_itself
    with pytest.raises(ChildrenFailed) as caught:
        await sequence(step, Work(value="b"), on_error="continue")
    assert caught.value.failures[0].category is Category.CANCELLED
    assert caught.value.value == [None, "b"]


@pytest.mark.parametrize("on_error", ["stop", "continue"])
async def test_cancelled_from_outside_it_starts_nothing(on_error):
    first, later = Work(9, cleanup=0.5), Work()
    await cancelled_after(1, sequence(first, later, on_error=on_error))
    await asyncio.sleep(100)
    assert (first.cancelled, later.began) == (1, [])
    assert not others()


def test_another_policy_is_refused():
    with pytest.raises(ValueError, match="on_error"):
        sequence(Work(), on_error="panic")


class TestPassResult:
    """The previous answer is handed over as a message of the assistant."""

    @staticmethod
    def model():
        asked = []

        def answer(request):
            asked.append([(message.role, message.content) for message in request.messages])
            return f"answer {len(asked)}"

        return asked, Registry().declare(answer, {"name": "model"})

    async def test_the_next_call_sees_the_answer_before_its_question(self):
        asked, ask = self.model()
        assert await sequence(ask("one"), ask("two"), ask("three"), pass_result=True) == [
            "answer 1",
            "answer 2",
            "answer 3",
        ]
        assert asked == [
            [("user", "one")],
            [("assistant", "answer 1"), ("user", "two")],
            [("assistant", "answer 2"), ("user", "three")],
        ]

    async def test_without_it_nothing_is_handed_over(self):
        asked, ask = self.model()
        await sequence(ask("one"), ask("two"))
        assert asked[1] == [("user", "two")]

    async def test_operators_hand_it_on(self):
        asked, ask = self.model()
        await sequence(ask("one"), ask("two").retry(2).timeout(5).map(str), pass_result=True)
        assert asked[1] == [("assistant", "answer 1"), ("user", "two")]

    async def test_a_failure_hands_nothing_over(self):
        """What comes after it sees the last answer that there was."""
        asked, ask = self.model()
        with pytest.raises(ChildrenFailed):
            await sequence(
                ask("one"), Work(error=passing()), ask("two"), pass_result=True, on_error="continue"
            )
        assert asked[1] == [("assistant", "answer 1"), ("user", "two")]

    async def test_a_function_is_told_nothing(self):
        _, ask = self.model()
        assert await sequence(ask("one"), lambda: "plain", pass_result=True) == ["answer 1", "plain"]


async def test_the_result_accounts_for_every_step():
    result = await result_of(sequence(Work(1, "a"), Work(error=passing()), Work()))
    states = [child.status for child in result.each_child()]
    assert states == [Status.SUCCEEDED, Status.FAILED, Status.SKIPPED]
    assert now() == 1


class TestHandingOnToFunctions:
    """A function with a parameter is called with the previous answer; one that needs none is told nothing."""

    @pytest.mark.parametrize(
        "told",
        [
            lambda made: [made],
            lambda made, times=1: [made] * times,
            lambda made, *others, **named: [made, *others],
            in_thread(lambda made: [made]),
            retry(2)(lambda made: [made]),
            partial(lambda times, made: [made] * times, 1),
            Registry().declare(lambda request: [request.prompt], {"name": "asked"}),
        ],
    )
    async def test_it_is_handed_on(self, told):
        assert await sequence(lambda: "made", told, pass_result=True) == ["made", ["made"]]

    async def test_an_async_one_awaits_it(self):
        async def told(made):
            return made + 1

        assert await sequence(lambda: 1, told, told, pass_result=True) == [1, 2, 3]

    async def test_so_is_what_stands_in_a_combinator_below(self):
        plan = sequence(lambda: 3, parallel({"a": lambda n: n + 1, "b": lambda: "b"}), pass_result=True)
        assert await plan == [3, {"a": 4, "b": "b"}]

    async def test_none_is_an_answer_too(self):
        assert await sequence(lambda: None, lambda made: [made], pass_result=True) == [None, [None]]

    @pytest.mark.parametrize(
        "plain", [lambda: "plain", lambda made="plain": made, lambda *made: "plain", dict]
    )
    async def test_one_that_needs_none_is_told_nothing(self, plain):
        assert (await sequence(lambda: 1, plain, pass_result=True))[1] in ("plain", {})

    async def test_unasked_nothing_is_handed_on(self):
        with pytest.raises(ChildrenFailed, match="missing 1 required positional argument: 'made'"):
            await sequence(lambda: 1, lambda made: made)

    @pytest.mark.parametrize("demanding", [lambda made, other: made, lambda *, made: made])
    async def test_one_that_asks_for_something_else_fails(self, demanding):
        with pytest.raises(ChildrenFailed, match="missing"):
            await sequence(lambda: 1, demanding, pass_result=True)
