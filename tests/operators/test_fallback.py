"""fallback: the next one only when the one before has failed, and not after every failure."""

import asyncio

import pytest

from streamer import Status, fallback, race, retry, timeout
from streamer.errors import FINAL, CallFailed, Category, ChildrenFailed, TimedOut
from streamer.operand import as_single
from streamer.providers.registry import Registry
from tests.operators.doubles import (
    Script,
    Work,
    cancelled_after,
    cancels_itself,
    now,
    others,
    passing,
    result_of,
)


def model(window: int | None, *lines):
    """A provider of that context window; its calls are counted."""

    class Model:
        context_window = window
        calls = 0

        async def answer(self, request):
            self.calls += 1
            line = lines[min(self.calls, len(lines)) - 1]
            if isinstance(line, Exception):
                raise line
            return line

    provider = Model()
    return provider, Registry().declare(provider, {"name": "model"})("Hello")


def too_long(**details) -> CallFailed:
    return CallFailed("context_length", "too long", **details)


async def test_the_first_success_is_the_value_and_the_rest_never_begin():
    later = Work(value="later")
    assert await fallback(Work(1, error=passing()), Work(1, "second"), later) == "second"
    assert later.began == []
    assert now() == 2


@pytest.mark.parametrize("category", sorted(set(Category) - FINAL - {Category.CONTEXT_LENGTH}))
async def test_it_goes_on_after(category):
    assert await fallback(Work(error=CallFailed(category, "no")), lambda: "next") == "next"


@pytest.mark.parametrize("category", sorted(FINAL))
async def test_it_ends_with(category):
    """Another candidate is no answer to these."""
    later = Work(value="later")
    refused = CallFailed(category, "no")
    with pytest.raises(ChildrenFailed) as caught:
        await fallback(Work(error=refused), later)
    assert caught.value.failures == {0: refused}
    assert later.began == []


async def test_python_errors_go_on():
    assert await fallback(Work(error=ZeroDivisionError()), lambda: "next") == "next"


class TestOn:
    async def test_names_what_goes_on(self):
        assert await fallback(Work(error=passing()), lambda: 1, on=["overloaded"]) == 1
        with pytest.raises(ChildrenFailed):
            await fallback(Work(error=passing()), lambda: 1, on=["network"])

    @pytest.mark.parametrize("category", sorted(FINAL))
    async def test_may_name_what_else_is_final(self, category):
        assert await fallback(Work(error=CallFailed(category, "no")), lambda: 1, on=[category]) == 1

    async def test_of_nothing_goes_on_after_nothing(self):
        with pytest.raises(ChildrenFailed):
            await fallback(Work(error=passing()), lambda: 1, on=[])

    def test_of_an_unknown_category_cannot_be_made(self):
        with pytest.raises(ValueError, match="bad_luck"):
            fallback(Work(), on=["bad_luck"])


async def test_if_all_fail_the_error_holds_every_failure_with_its_index():
    failures = [passing("a"), ValueError("b")]
    with pytest.raises(ChildrenFailed) as caught:
        await fallback(*(Work(error=error) for error in failures))
    assert caught.value.failures == dict(enumerate(failures))


async def test_of_a_single_candidate_too():
    with pytest.raises(ChildrenFailed) as caught:
        await fallback(Work(error=ZeroDivisionError()))
    assert list(caught.value.failures) == [0]


async def test_without_candidates_it_cannot_be_made():
    with pytest.raises(ValueError, match="at least one"):
        fallback()


async def test_each_candidate_has_its_own_retries():
    first, second = Script(passing()), Script(passing(), passing(), "third time")
    again = retry(3, initial_delay=1, backoff="fixed")
    assert await fallback(again(first), again(second)) == "third time"
    assert (len(first.began), len(second.began)) == (3, 3)


async def test_a_candidate_that_timed_out_is_a_failure():
    slow = Work(60)
    assert await fallback(timeout(2)(as_single(slow).map(str)), lambda: "next") == "next"
    assert (now(), slow.cancelled) == (2, 1)


async def test_a_deadline_is_final():
    with pytest.raises(ChildrenFailed):
        await fallback(Work(error=TimedOut("over", Category.DEADLINE)), lambda: "next")


@pytest.mark.parametrize("seconds", [0, 1])
async def test_cancelled_from_outside_it_starts_nothing(seconds):
    later = Work()
    await cancelled_after(seconds, fallback(Work(9, cleanup=0.5), later))
    await asyncio.sleep(100)
    assert later.began == []
    assert not others()


@pytest.mark.parametrize("mapped", [False, True])
async def test_a_candidate_that_raises_cancelled_error_is_cancelled_and_final(mapped):
    """It is a failure of that candidate, and the fallback ends in an ordinary error."""
    candidate = as_single(lambda: 1).map(lambda _: cancels_itself()) if mapped else cancels_itself
    with pytest.raises(ChildrenFailed) as caught:
        await fallback(candidate, lambda: "next")
    assert caught.value.failures[0].category is Category.CANCELLED
    assert await fallback(candidate, lambda: "next", on=["cancelled"]) == "next"


class TestContextLength:
    """A request that was too long goes only to a larger window."""

    async def test_not_to_one_as_small(self):
        small, asks_small = model(8_000, too_long())
        same, asks_same = model(8_000, "same")
        large, asks_large = model(128_000, "large")
        assert await fallback(asks_small, asks_same, asks_large) == "large"
        assert (small.calls, same.calls, large.calls) == (1, 0, 1)

    async def test_to_one_that_is_not_known(self):
        _, asks_small = model(8_000, too_long())
        _, asks_other = model(None, "other")
        assert await fallback(asks_small, asks_other) == "other"

    async def test_the_window_that_the_error_names_counts(self):
        _, asks_unknown = model(None, too_long(context_window=32_000))
        smaller, asks_smaller = model(8_000, "smaller")
        _, asks_larger = model(64_000, "larger")
        assert await fallback(asks_unknown, asks_smaller, asks_larger) == "larger"
        assert smaller.calls == 0

    async def test_the_largest_that_failed_counts(self):
        _, asks_large = model(64_000, too_long())
        _, asks_unknown = model(None, too_long(context_window=8_000))
        middle, asks_middle = model(32_000, "middle")
        with pytest.raises(ChildrenFailed):
            await fallback(asks_large, asks_unknown, asks_middle)
        assert middle.calls == 0

    @pytest.mark.parametrize(
        "wrapped",
        [retry(2), timeout(5), lambda s: s.map(str), lambda s: race(s, s)],
        ids=["retry", "timeout", "map", "race"],
    )
    async def test_operators_keep_the_window(self, wrapped):
        _, asks_small = model(8_000, too_long())
        same, asks_same = model(8_000, "same")
        with pytest.raises(ChildrenFailed):
            await fallback(wrapped(asks_small), wrapped(asks_same))
        assert same.calls == 0

    async def test_with_no_larger_one_left_the_rest_is_skipped(self):
        _, asks_small = model(8_000, too_long())
        _, asks_same = model(4_000, "same")
        result = await result_of(fallback(asks_small, asks_same))
        assert [child.status for child in result.each_child()] == [Status.FAILED, Status.SKIPPED]


async def test_the_result_accounts_for_every_candidate():
    result = await result_of(fallback(Work(error=passing()), lambda: "second", lambda: "third"))
    assert (result.value, result.winner) == ("second", 1)
    states = [child.status for child in result.each_child()]
    assert states == [Status.FAILED, Status.SUCCEEDED, Status.SKIPPED]
