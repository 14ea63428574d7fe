"""X14: a provider that asks for a wait is obeyed, and who waits holds no slot that another could use."""

import asyncio

import pytest

from streamer import Engine, Pool, limited, map, parallel, retry
from streamer.errors import CallFailed
from streamer.limits import Limit
from streamer.operand import as_single
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from tests.acceptance.topology import call
from tests.operators.doubles import Script, Work, now

pytestmark = pytest.mark.virtual_time

ASKED = 30


def slow_down():
    return CallFailed("rate_limit", "slow down", retry_after=ASKED)


@pytest.mark.parametrize("backoff", ["fixed", "linear", "exponential", "jitter", "decorrelated"])
@pytest.mark.parametrize("max_delay", [1, 60])
async def test_x14_it_waits_as_long_as_it_is_asked_to_at_least(backoff, max_delay):
    """Whatever its own formula and cap say."""
    script = Script(slow_down(), "ok")
    assert await retry(2, backoff=backoff, initial_delay=1, max_delay=max_delay)(script) == "ok"
    assert script.waits == [ASKED]


async def test_x14_and_longer_where_its_own_wait_is():
    script = Script(CallFailed("rate_limit", "slow down", retry_after=1), "ok")
    await retry(2, initial_delay=5)(script)
    assert script.waits == [5]


async def test_x14_of_several_that_ask_the_longest_counts():
    failing = [Script(CallFailed("rate_limit", "", retry_after=seconds), "ok") for seconds in (3, 20)]
    assert await retry(2, initial_delay=1)(parallel(*failing)) == ["ok", "ok"]
    assert now() == 20


async def in_an_engine(flaky, good):
    engine = Engine(as_single, concurrency=1)
    return await asyncio.gather(engine.run(flaky), engine.run(good))


async def in_a_stream(flaky, good):
    return [result async for result in Engine(as_single).stream([flaky, good], concurrency=1)]


async def in_a_pool(flaky, good):
    async with Pool(1) as pool:
        return await asyncio.gather(*[await pool.submit(work) for work in (flaky, good)])


async def of_one_limit(flaky, good):
    limit = Limit(1, "one")
    await parallel(limited(limit)(flaky), limited(limit)(good))


AROUND = [in_an_engine, in_a_stream, in_a_pool, of_one_limit]


@pytest.mark.parametrize("around", AROUND, ids=lambda around: around.__name__)
async def test_x14_a_good_task_is_not_delayed_by_one_that_backs_off(around):
    """In one slot for both: the good one is through before the other begins again."""
    flaky, good = Script(slow_down(), "late"), Work(1, "good")
    await around(retry(2)(flaky), as_single(good))
    assert (flaky.began, good.began) == ([0, ASKED], [0])
    assert now() == ASKED


async def test_x14_nor_at_a_provider_or_a_function():
    script, good = Script(slow_down(), "late"), Work(1, "good")
    model = Registry().declare(
        lambda request: good() if request.prompt == "good" else script(), {"concurrency": 1}
    )
    assert await parallel(model("flaky").retry(2), model("good")) == ["late", "good"]
    function = FunctionTarget(lambda work: work(), "work", concurrency=1, run_in="loop")
    began, other = now(), Script(slow_down(), "late")
    assert await parallel(function(other).retry(2), function(good)) == ["late", "good"]
    assert good.began == [0, began]


@pytest.mark.parametrize(
    "combine", [parallel, lambda *w, **k: map(as_single, w, **k)], ids=["parallel", "map"]
)
async def test_x14_nor_among_the_children_of_an_operator(combine):
    flaky, good = Script(slow_down(), "late"), Work(1, "good")
    assert await combine(retry(2)(flaky), good, concurrency=1) == ["late", "good"]
    assert good.began == [0]


WIRE = {
    "x14-told-to-wait": call(
        "flaky", "x14-told-to-wait", 1, 0.4, retry={"max_attempts": 2, "initial_delay": 0.01}
    ),
}


async def test_x14_on_the_wire(answer):
    result = await answer("x14-told-to-wait")
    assert (result["status"], result["value"], len(result["attempts"])) == ("succeeded", 2, 2)
    assert result["duration"] >= 0.4
