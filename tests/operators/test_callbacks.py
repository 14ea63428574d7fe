"""on_progress, on_complete, on_error: told of every child once, and nothing that they do changes the outcome."""

import asyncio

import pytest

from streamer import fallback, map, parallel, race, sequence
from streamer.errors import CallFailed, ChildrenFailed
from tests.operators.doubles import Work, cancelled_after, others, passing, result_of


class Ears:
    """What was heard; sync or async, and told to raise."""

    def __init__(self, raising=None, slow=False):
        self.progress, self.values, self.errors = [], [], []
        self.raising, self.slow = raising, slow

    def hearer(self, heard):
        def at_once(*told):
            heard.append(told)
            if self.raising is not None:
                raise self.raising

        async def later(*told):
            await asyncio.sleep(1)
            at_once(*told)

        return later if self.slow else at_once

    def given(self):
        return {
            "on_progress": self.hearer(self.progress),
            "on_complete": self.hearer(self.values),
            "on_error": self.hearer(self.errors),
        }


def works():
    return [Work(3, "a"), Work(1, error=passing()), Work(2, "c")]


COMBINED = {
    "parallel": lambda works, **given: parallel(*works, **given),
    "sequence": lambda works, **given: sequence(*works, **{"fail_fast": False} | given),
    "map": lambda works, **given: map(lambda work: work(), works, **given),
}
EACH = pytest.mark.parametrize("combine", COMBINED.values(), ids=COMBINED)


@EACH
@pytest.mark.parametrize("slow", [False, True])
async def test_each_child_is_told_of_once(combine, slow):
    ears = Ears(slow=slow)
    three = works()
    with pytest.raises(ChildrenFailed):
        await combine(three, **ears.given())
    assert sorted(ears.values) == [("a", 0), ("c", 2)]
    assert ears.errors == [(three[1].error, 1)]
    assert ears.progress == [(1, 3), (2, 3), (3, 3)]


@EACH
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("raising", [ValueError("mine"), asyncio.CancelledError("mine")])
async def test_what_they_raise_changes_nothing_and_is_reported(combine, slow, raising):
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    ears = Ears(raising, slow)
    plain = await result_of(combine(works()))
    told = await result_of(combine(works(), **ears.given()))
    assert [child.status for child in told.children] == [child.status for child in plain.children]
    assert (told.status, told.value) == (plain.status, plain.value)
    assert reported == [raising] * 6


@EACH
@pytest.mark.parametrize("raising", [None, ValueError("mine")])
async def test_fail_fast_goes_on_working_and_those_it_stopped_are_told_of(combine, raising):
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    ears = Ears(raising)
    children = [Work(1, error=passing()), Work(9), Work(9)]
    with pytest.raises(ChildrenFailed) as caught:
        await combine(children, fail_fast=True, **ears.given())
    assert sum(work.ended for work in children if not work.cancelled) == 1
    assert sorted(ears.errors, key=lambda told: told[1]) == [(caught.value.failures[i], i) for i in range(3)]
    assert ears.progress == [(1, 3), (2, 3), (3, 3)]


async def test_children_of_parallel_are_told_by_name():
    ears = Ears()
    await parallel({"a": Work(1, 1), "b": Work(2, 2)}, **ears.given())
    assert ears.values == [(1, "a"), (2, "b")]


async def test_of_an_input_of_unknown_length_the_total_comes_with_its_end():
    ears = Ears()
    await map(lambda item: Work(item, item)(), iter([1, 2, 3]), concurrency=2, **ears.given())
    assert ears.progress == [(1, None), (2, None), (3, 3)]


@EACH
async def test_cancelled_from_outside_nobody_is_told_any_more(combine):
    ears = Ears()
    await cancelled_after(0.5, combine(works(), **ears.given()))
    assert (ears.progress, others()) == ([], set())


@EACH
@pytest.mark.parametrize("name", ["on_progress", "on_complete", "on_error"])
def test_what_can_not_be_called_is_refused_by_name(combine, name):
    with pytest.raises(ValueError, match=f"{name} is a function, not 5"):
        combine([], **{name: 5})


def test_a_sequence_is_told_how_to_go_on_in_one_way_only():
    with pytest.raises(ValueError, match="give one"):
        sequence(on_error="stop", fail_fast=False)


class TestOneAnswer:
    """race and fallback, where a failure is no end: on_error alone."""

    async def test_a_race_tells_of_those_that_failed_before_it_was_decided(self):
        ears = Ears()
        early, late = Work(1, error=passing()), Work(9, error=passing())
        assert await race(early, Work(2, "won"), late, on_error=ears.given()["on_error"]) == "won"
        assert ears.errors == [(early.error, 0)]

    async def test_all_that_fail_are_told_of_in_the_order_they_end(self):
        ears = Ears()
        works = [Work(2, error=passing()), Work(1, error=passing())]
        with pytest.raises(ChildrenFailed):
            await race(*works, on_error=ears.given()["on_error"])
        assert [index for _, index in ears.errors] == [1, 0]

    async def test_the_first_to_end_is_told_of_where_it_failed(self):
        ears = Ears()
        with pytest.raises(CallFailed):
            await race(
                Work(1, error=passing()), Work(2), win_on="completion", on_error=ears.given()["on_error"]
            )
        assert [index for _, index in ears.errors] == [0]

    async def test_who_listens_slowly_keeps_no_contender_from_starting(self):
        """And the losers are stopped before he hears."""
        ears, second = Ears(slow=True), Work(1, "second")
        assert (
            await race(Work(error=passing()), second, hedge_delay=5, on_error=ears.given()["on_error"])
            == "second"
        )
        assert (second.began, len(ears.errors)) == ([0], 1)

    async def test_a_fallback_tells_before_the_next_begins(self):
        ears = Ears(slow=True)
        first, second = Work(1, error=passing()), Work(1, "second")
        assert await fallback(first, second, on_error=ears.given()["on_error"]) == "second"
        assert (ears.errors, second.began) == ([(first.error, 0)], [2])

    @pytest.mark.parametrize("combine", [race, fallback])
    @pytest.mark.parametrize("raising", [ValueError("mine"), asyncio.CancelledError("mine")])
    async def test_what_it_raises_changes_nothing_and_is_reported(self, combine, raising):
        reported = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: reported.append(told["exception"]))
        plan = combine(Work(error=passing()), Work(1, "second"), on_error=Ears(raising).given()["on_error"])
        assert await plan == "second"
        assert reported == [raising]

    @pytest.mark.parametrize("combine", [race, fallback])
    async def test_cancelled_from_outside_nobody_is_told_any_more(self, combine):
        ears = Ears()
        await cancelled_after(
            0.5, combine(Work(1, error=passing()), Work(9), on_error=ears.given()["on_error"])
        )
        assert (ears.errors, others()) == ([], set())

    @pytest.mark.parametrize("combine", [race, fallback])
    def test_what_can_not_be_called_is_refused_by_name(self, combine):
        with pytest.raises(ValueError, match="on_error is a function, not 5"):
            combine(Work(), on_error=5)
