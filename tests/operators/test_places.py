"""A child that backs off makes room for another among those that may run at once, and waits for a place to go on."""

import asyncio
from contextvars import ContextVar
from itertools import count

import pytest

from streamer import Limit, limited, map, parallel, race, retry, sequence, timeout
from streamer.errors import CallFailed, ChildrenFailed
from streamer.operand import as_single
from streamer.providers.registry import Registry
from tests.operators.doubles import Runner, Script, Stubborn, Work, cancelled_after, now, others, passing

VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


def again(work, delay=10, attempts=2):
    return retry(attempts, initial_delay=delay, backoff="fixed")(work)


class Crowd:
    """Work of a second each, some of which fails at first; ``most`` is how many there were at once."""

    def __init__(self):
        self.running = self.most = 0
        self.began = []

    def work(self, name, failures=0):
        left = [failures]

        async def run():
            self.began.append((now(), name))
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await asyncio.sleep(1)
            finally:
                self.running -= 1
            if left[0]:
                left[0] -= 1
                raise passing()
            return name

        return run


async def test_who_has_backed_off_waits_for_a_place_and_goes_before_those_that_have_not_begun():
    crowd = Crowd()
    works = [again(crowd.work("flaky", 1), delay=1.5), *(crowd.work(name) for name in "abc")]
    assert await parallel(*works, concurrency=1) == ["flaky", "a", "b", "c"]
    assert crowd.began == [(0, "flaky"), (1, "a"), (2, "b"), (3, "flaky"), (4, "c")]
    assert crowd.most == 1


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("given", [list, iter])
async def test_never_do_more_work_than_may(size, given):
    crowd = Crowd()
    works = [again(crowd.work(n, n % 3), delay=n % 4 + 0.5, attempts=3) for n in range(30)]
    assert await map(lambda work: work, given(works), concurrency=size) == list(range(30))
    assert (crowd.most, others()) == (size, set())


async def test_nor_where_children_have_children():
    crowd, limit = Crowd(), Limit(2)

    def child(n):
        inner = [again(crowd.work((n, m), m % 2), delay=2) for m in range(4)]
        return again(parallel(*inner, limited(limit)(again(crowd.work(n, 1))), concurrency=1))

    values = await asyncio.wait_for(map(child, range(5), concurrency=2).started(), 1_000)
    assert values == [[(n, 0), (n, 1), (n, 2), (n, 3), n] for n in range(5)]
    assert (crowd.most <= 2, limit.active) == (True, 0)


async def test_a_batch_ends_before_the_next_begins():
    crowd = Crowd()
    works = [again(crowd.work("a", 1)), crowd.work("b"), crowd.work("c")]
    await map(as_single, works, concurrency=1, batch_size=2)
    assert crowd.began == [(0, "a"), (1, "b"), (11, "a"), (12, "c")]


async def test_ten_for_each_place_may_rest_at_once_so_that_an_endless_input_stays_where_it_is():
    began = 0

    async def busy():
        nonlocal began
        began += 1
        raise passing()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(50):
            await map(lambda _: again(busy, delay=100), count(), concurrency=3)
    assert (began, others()) == (33, set())


async def test_one_at_a_time_is_what_the_switch_says(monkeypatch):
    monkeypatch.setenv("ENABLE_PARALLEL_STEPS", "false")
    crowd = Crowd()
    await parallel(again(crowd.work("flaky", 1)), crowd.work("good"))
    assert crowd.began == [(0, "flaky"), (11, "flaky"), (12, "good")]


async def test_the_next_sees_nothing_of_the_one_that_made_room_for_it():
    script = Script(passing(), "late")

    async def sets():
        VARIABLE.set("mine")
        return await script()

    async def reads():
        return VARIABLE.get()

    assert await parallel(again(sets), reads, concurrency=1) == ["late", "unset"]


async def test_the_next_begins_once_the_callback_was_told_of_the_one_before():
    async def slow(*_):
        await asyncio.sleep(5)

    flaky, good, last = Script(passing(), "late"), Work(1), Work(1)
    await parallel(again(flaky), good, last, concurrency=1, on_complete=slow)
    assert (flaky.began, good.began, last.began) == ([0, 10], [0], [6])


async def test_who_is_no_longer_wanted_ends_while_it_rests_or_waits_for_a_place():
    resting, waiting = Script(passing()), Script(passing())
    with pytest.raises(ChildrenFailed):
        await parallel(
            again(resting, 100),
            again(waiting, 1),
            Work(3, error=ValueError("no")),
            Work(1),
            concurrency=1,
            fail_fast=True,
        )
    assert (now(), len(resting.began), len(waiting.began), others()) == (3, 1, 1, set())


async def test_cancelled_from_outside_nothing_is_left():
    await cancelled_after(5, map(lambda _: again(Script(passing())), range(9), concurrency=2))
    assert (now(), others()) == (5, set())


async def test_a_clock_around_a_child_ends_it_wherever_it_waits():
    flaky, busy = Script(passing(), "late"), Work(20, "long")
    with pytest.raises(ChildrenFailed) as caught:
        await parallel(timeout(15)(again(flaky)), busy, Work(1, "last"), concurrency=1)
    assert (caught.value.value, flaky.began, now()) == ([None, "long", "last"], [0], 21)


async def test_a_loser_that_rested_leaves_its_place_to_the_next():
    crowd = Crowd()
    works = [race(again(crowd.work(n, 1), delay=50), Work(3, n)) for n in range(3)]
    assert await parallel(*works, concurrency=1) == [0, 1, 2]
    assert others() == set()


async def test_what_outlives_its_child_takes_nobody_s_place():
    stubborn, last = Stubborn(), Work(1, "last")
    with pytest.raises(ChildrenFailed) as caught:
        await parallel(timeout(1)(stubborn), again(Script(passing(), "late")), last, concurrency=1)
    assert caught.value.value == [None, "late", "last"]
    stubborn.release.set()
    await asyncio.sleep(1)
    assert others() == set()


async def test_the_run_slot_and_what_is_held_around_are_lent_only_when_all_rest():
    runner, limit, other = Runner(1), Limit(1), Work(1)

    def plan():
        return limited(limit)(parallel(again(Script(passing(), "late")), Work(5, "good"), concurrency=1))

    first = runner.start(plan)
    await asyncio.sleep(0.5)
    second = runner.start(lambda: limited(limit)(other))
    assert [(await task).value for task in (first, second)] == [["late", "good"], None]
    assert (other.began, now()) == ([5], 10)
    assert (runner.slots.peak, runner.slots.active, limit.peak, limit.active) == (1, 0, 1, 0)


async def test_calls_and_functions_of_calls():
    script = Script(CallFailed("rate_limit", "slow down", retry_after=10), "late")
    model = Registry().declare(lambda request: script(), {"concurrency": 1})
    good = Work(1, "good")

    async def asks():
        return await model("x")

    assert await parallel(again(sequence(asks)), as_single(good), concurrency=1) == [["late"], "good"]
    assert good.began == [0]
