"""limited: a slot of a shared limit around anything."""

import asyncio

import pytest

from streamer import Limit, Status, fallback, limited, parallel, race, retry, sequence, timeout
from streamer.operand import as_single
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from tests.operators.doubles import (
    Runner,
    Script,
    Stubborn,
    Work,
    cancelled_after,
    now,
    others,
    passing,
    result_of,
)


def asks(work, **settings):
    """A provider whose calls are that work."""
    return Registry().declare(lambda request: work(), {"name": "model", **settings})


@pytest.mark.parametrize("size", [1, 3, 10])
async def test_at_most_so_many_of_all_who_share_it(size):
    limit, work = Limit(size, name="gpu"), Work(1)
    shared = [limited(limit)(work), limited(limit)(parallel(work)), asks(work, concurrency=limit)("x")]
    await asyncio.gather(*(single.started() for single in shared for _ in range(5)))
    assert (limit.peak, limit.active, len(work.began)) == (min(size, 15), 0, 15)
    assert now() == -(-15 // size)


@pytest.mark.parametrize("end", ["success", "failure", "timeout", "cancellation"])
async def test_its_slot_is_free_afterwards(end):
    limit, work = Limit(1), Work(9 if end in ("timeout", "cancellation") else 1, cleanup=0.5)
    work.error = passing() if end == "failure" else None
    single = limited(limit)(work)
    if end == "cancellation":
        await cancelled_after(1, single)
    else:
        await result_of(timeout(3)(single))
    assert (limit.active, limit.peak) == (0, 1)
    assert not others()


async def test_whoever_is_cancelled_while_he_waits_holds_none():
    limit, work = Limit(1), Work(5)
    first = asyncio.ensure_future(limited(limit)(work).started())
    await asyncio.sleep(0)
    await cancelled_after(1, limited(limit)(work))
    await first
    assert (limit.active, len(work.began)) == (0, 1)


class TestABackOffHoldsNone:
    async def check(self, limit, plan):
        """While it backs off from 1 to 11 another one works; it goes on with a slot in hand."""
        other = Work(3)
        busy = asyncio.ensure_future(plan.started())
        await asyncio.sleep(2)
        assert limit.active == 0
        await limited(limit)(other)
        assert now() == 5
        assert await busy == "answer"
        assert (now(), limit.peak, limit.active) == (12, 1, 0)

    def script(self):
        script = Script(passing(), "answer")

        async def work():
            await asyncio.sleep(1)
            return await script()

        return work

    again = staticmethod(retry(2, initial_delay=10, backoff="fixed"))

    async def test_outside_of_it(self):
        limit = Limit(1)
        await self.check(limit, asks(self.script())("x").pipe(limited(limit), self.again))

    async def test_inside_of_it(self):
        limit = Limit(1)
        await self.check(limit, asks(self.script())("x").pipe(self.again, limited(limit)))

    async def test_inside_of_two(self):
        limit = Limit(1)
        await self.check(limit, asks(self.script())("x").pipe(self.again, limited(Limit(1)), limited(limit)))

    async def test_of_a_plain_function(self):
        limit = Limit(1)
        await self.check(limit, limited(limit)(self.again(self.script())))

    async def test_but_a_function_keeps_its_slot_for_it_may_work_beside_a_call_that_backs_off(self):
        limit, own = Limit(1), Work(15)

        def job():
            call = self.again(self.script())

            async def work():
                await asyncio.gather(call, own())

            return limited(limit)(work)

        await parallel(job(), job())
        assert (own.began, limit.peak, limit.active) == ([0, 15], 1, 0)

    async def test_nor_the_run_slot(self):
        runner, limit = Runner(1), Limit(1)
        plan = asks(self.script())("x").pipe(self.again, limited(limit))
        first = runner.start(lambda: plan)
        await asyncio.sleep(2)
        assert (runner.slots.active, limit.active) == (0, 0)
        assert (await runner.run(lambda: limited(limit)(Work(3)))).succeeded
        assert ((await first).value, now()) == ("answer", 12)

    async def test_unless_something_else_works_inside(self):
        limit, other = Limit(1), Work(1)
        both = limited(limit)(parallel(self.again(asks(self.script())("x")), Work(6)))
        waits = asyncio.gather(both, limited(limit)(other))
        await waits
        assert other.began == [6]
        assert (limit.peak, limit.active) == (1, 0)


class TestNested:
    """Nobody waits for himself: inside of a slot of the same limit that slot is shared, one at a time."""

    async def ends(self, limit, *singles):
        await asyncio.wait_for(asyncio.gather(*singles), 1_000)
        assert (limit.peak, limit.active) == (1, 0)
        assert not others()

    async def test_a_call_of_a_provider_that_has_it(self):
        limit, work = Limit(1), Work(1)
        target = asks(work, concurrency=limit)
        await self.ends(limit, *(limited(limit)(target("x")) for _ in range(3)))
        assert work.began == [0, 1, 2]

    async def test_several_calls_take_turns(self):
        limit, work = Limit(1), Work(1)
        target = asks(work, concurrency=limit)
        await self.ends(limit, limited(limit)(parallel(*(target("x") for _ in range(3)))))
        assert work.began == [0, 1, 2]

    async def test_the_same_operator_again_and_again(self):
        limit, work = Limit(1), Work(1)
        one = limited(limit)
        await self.ends(
            limit, *(one(sequence(one(parallel(one(work), one(work))), one(work))) for _ in range(2))
        )
        assert work.began == [0, 1, 2, 3, 4, 5]

    async def test_a_function_that_calls_itself(self):
        limit, depth = Limit(1), []

        async def count(left):
            depth.append(left)
            await asyncio.sleep(1)
            return left + await target(left - 1) if left else 0

        target = FunctionTarget(count, "count", concurrency=limit)
        await self.ends(limit, target(3), target(3))
        assert sorted(depth) == [0, 0, 1, 1, 2, 2, 3, 3]

    async def test_a_provider_that_asks_another(self):
        limit, work = Limit(1), Work(1)
        inner = asks(work, concurrency=limit)
        outer = Registry().declare(lambda request: inner("x"), {"name": "outer", "concurrency": limit})
        await self.ends(limit, outer("x"), outer("x"))

    async def test_a_call_of_a_provider_that_has_the_limit_of_the_tasks(self):
        runner, work = Runner(1), Work(1)
        target = asks(work, concurrency=runner.slots)
        await asyncio.gather(*(runner.run(lambda: parallel(target("x"), target("y"))) for _ in range(2)))
        assert (runner.slots.peak, runner.slots.active, work.began) == (1, 0, [0, 1, 2, 3])

    async def test_one_that_backs_off_lends_it(self):
        limit, script = Limit(1), Script(passing(), "answer")
        target = asks(script, concurrency=limit)
        slow = limited(limit)(retry(2, initial_delay=9, backoff="fixed")(limited(limit)(target("x"))))
        busy = asyncio.ensure_future(slow.started())
        await asyncio.sleep(1)
        await limited(limit)(Work(2))
        assert now() == 3
        assert await busy == "answer"
        assert (limit.peak, limit.active) == (1, 0)


async def test_what_outlives_its_grace_keeps_the_slot():
    limit, stubborn, other = Limit(1), Stubborn(), Work(1)
    late = limited(limit)(race(timeout(1)(as_single(stubborn).map(str))))
    assert not (await result_of(late)).succeeded
    waits = asyncio.ensure_future(limited(limit)(other).started())
    await asyncio.sleep(20)
    assert (other.began, limit.active) == ([], 1)
    stubborn.release.set()
    await waits
    assert limit.active == 0


async def test_many_tasks_that_do_all_of_it_come_to_an_end():
    """Two limits, nested in one order, with back-offs and few run slots: no two wait for each other."""
    runner, outer, inner = Runner(2), Limit(2), Limit(1)

    def plan():
        flaky = Script(passing(), passing(), "answer")
        call = asks(flaky, concurrency=inner)("x").pipe(retry(3, initial_delay=1))
        return limited(outer)(
            parallel(limited(inner)(call), fallback(limited(inner)(Work(1)), Work(1)), Work(2))
        )

    results = await asyncio.wait_for(asyncio.gather(*(runner.run(plan) for _ in range(20))), 10_000)
    assert {result.status for result in results} == {Status.SUCCEEDED}
    assert (outer.active, inner.active, runner.slots.active) == (0, 0, 0)
    assert (outer.peak, inner.peak, runner.slots.peak) == (2, 1, 2)


@pytest.mark.parametrize("limit", [5, None, "gpu"])
def test_it_takes_a_limit(limit):
    with pytest.raises(ValueError, match="takes a Limit"):
        limited(limit)
