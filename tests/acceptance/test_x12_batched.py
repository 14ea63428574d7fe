"""X12: batches in order, of the size that was asked for, with progress; one failure is that item's alone."""

import asyncio

import pytest

from streamer import batched, map, parallel, retry
from streamer.errors import ChildrenFailed
from tests.acceptance.topology import call
from tests.operators.doubles import Work, now, others, passing

pytestmark = pytest.mark.virtual_time


async def test_x12_a_batch_ends_before_the_next_begins_and_values_keep_their_order():
    works = [Work(seconds, n) for n, seconds in enumerate([3, 1, 2, 1, 5])]
    assert await map(lambda work: work(), works, batch_size=2) == [0, 1, 2, 3, 4]
    assert [work.began for work in works] == [[0], [0], [3], [3], [5]]


@pytest.mark.parametrize(("size", "seconds"), [(1, 5), (2, 3), (5, 1), (100, 1)])
async def test_x12_so_many_at_a_time(size, seconds):
    assert await map(lambda n: Work(1, n)(), range(5), batch_size=size) == list(range(5))
    assert now() == seconds


async def test_x12_progress_counts_items():
    told = []
    await map(lambda n: Work(1, n)(), range(5), batch_size=2, on_progress=lambda *said: told.append(said))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


async def test_x12_a_failure_leaves_its_batch_and_all_others_alone():
    """None of them runs on behind the caller's back, and no earlier value is lost."""
    works = [Work(1, n) for n in range(6)]
    works[3] = Work(0.5, error=RuntimeError("the fourth"))
    with pytest.raises(ChildrenFailed) as caught:
        await map(lambda work: work(), works, batch_size=2)
    assert caught.value.value == [0, 1, 2, None, 4, 5]
    assert caught.value.failures == {3: works[3].error}
    assert [work.alive for work in works] == [0] * 6
    assert not others()


async def test_x12_with_fail_fast_its_batch_is_cancelled_and_no_other_begins():
    works = [Work(1, 0), Work(1, 1), Work(9, 2), Work(0.5, error=RuntimeError("the fourth")), Work(1, 4)]
    with pytest.raises(ChildrenFailed) as caught:
        await map(lambda work: work(), works, batch_size=2, fail_fast=True)
    assert caught.value.value == [0, 1, None, None, None]
    assert (now(), works[2].cancelled, works[2].alive, works[4].began) == (1.5, 1, 0, [])


@pytest.mark.parametrize("size", [0, -1, True, 1.5])
def test_x12_a_size_of_nothing_is_refused_when_it_is_said(size):
    with pytest.raises(ValueError, match=r"batch_size is a whole number of at least 1, not"):
        map(str, [1], batch_size=size)
    with pytest.raises(ValueError, match=r"max_size is a whole number of at least 1, not"):
        batched(list, size, 1)


class Shared:
    """A call for many; ``bad`` items fail alone, and of ``flaky`` ones the first call of each."""

    def __init__(self, *, bad=(), flaky=()):
        self.bad, self.flaky = bad, set(flaky)
        self.sizes = []

    async def __call__(self, items):
        self.sizes.append(len(items))
        await asyncio.sleep(1)
        return [self.answer(item) for item in items]

    def answer(self, item):
        if item in self.flaky:
            self.flaky.discard(item)
            return passing()
        return RuntimeError(item) if item in self.bad else item * 10


async def test_x12_tasks_that_run_at_once_share_calls_of_that_size():
    call_of_many = Shared()
    ask = batched(call_of_many, 4, 0.5)
    assert await parallel(*(ask(n) for n in range(10))) == [n * 10 for n in range(10)]
    assert sorted(call_of_many.sizes) == [2, 4, 4]


async def test_x12_an_element_that_fails_is_its_tasks_failure_alone():
    ask = batched(Shared(bad={3}), 10, 0.5)
    with pytest.raises(ChildrenFailed) as caught:
        await parallel(*(ask(n) for n in range(5)))
    assert caught.value.value == [0, 10, 20, None, 40]
    assert list(caught.value.failures) == [3]


async def test_x12_and_only_that_one_is_asked_for_again():
    call_of_many = Shared(flaky={3})
    ask = batched(call_of_many, 10, 0.5)
    again = retry(2, initial_delay=1)
    assert await parallel(*(again(ask(n)) for n in range(5))) == [n * 10 for n in range(5)]
    assert call_of_many.sizes == [5, 1]


WIRE = {
    "x12-batches": {
        "kind": "map",
        "batch_size": 2,
        "items": ["a", "b", "c", "d", "e"],
        "task": call("say", "{{ item }}", 0.01),
    },
    "x12-one-fails": {
        "kind": "map",
        "batch_size": 2,
        "items": ["say", "say", "fail", "say"],
        "task": {"kind": "function", "name": "{{ item }}", "arguments": ["{{ index }}"]},
    },
}


async def test_x12_on_the_wire(answer):
    assert (await answer("x12-batches"))["value"] == ["a", "b", "c", "d", "e"]
    result = await answer("x12-one-fails")
    assert (result["status"], result["value"]) == ("failed", [0, 1, None, 3])
    assert [child["status"] for child in result["children"]] == [
        "succeeded",
        "succeeded",
        "failed",
        "succeeded",
    ]
