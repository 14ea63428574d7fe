"""What a result tells of how it came about: every measure changes when what it measures does."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given, settings

from streamer import fallback, map, parallel, race, retry, sequence
from streamer.engine import Engine
from streamer.errors import CallFailed
from streamer.limits import Limit
from streamer.providers.function import FunctionTarget
from streamer.providers.protocol import Chunk, Response
from streamer.providers.registry import Registry
from streamer.results import Encoder, Result, Usage
from streamer.telemetry.measures import everything
from tests.engine.test_properties import COMMON, PLANS, World
from tests.operators.doubles import Work

pytestmark = pytest.mark.virtual_time


def model(seconds=1.0, tokens=None, fails=0, first=None, registry=None, **settings):
    """A model that takes so long, the first so many times in vain; with ``first`` it streams."""
    left = [fails]

    async def stream():
        await asyncio.sleep(first)
        yield "yes"
        await asyncio.sleep(seconds - first)
        yield Chunk(finish_reason="stop", usage=Usage(output_tokens=tokens))

    async def whole():
        await asyncio.sleep(seconds)
        if left[0]:
            left[0] -= 1
            raise CallFailed("overloaded", "busy", usage=Usage(input_tokens=1), cost=0.5)
        return Response(text="yes", usage=None if tokens is None else Usage(output_tokens=tokens), cost=0.25)

    target = (registry or Registry()).declare(
        lambda _: whole() if first is None else stream(), {"name": "model", **settings}
    )
    return target("?")


async def run(plan, **settings) -> Result:
    """The result of a plan, as it is and as it travels."""
    result = await Engine(lambda _: plan, **settings).run(None, task_id="t")
    back = msgspec.json.decode(Encoder().encode(result), type=Result)
    for name in ("retries", "time_to_first_token", "tokens_per_second", "peak_concurrency", "speed_up"):
        assert getattr(back, name) == pytest.approx(getattr(result, name), abs=1e-5), name
    return result


# --- the attempt that answered


async def test_tokens_per_second_are_those_of_the_attempt_that_answered():
    assert (await run(model(2.0, tokens=10))).tokens_per_second == pytest.approx(5)
    assert (await run(model(2.0, tokens=30))).tokens_per_second == pytest.approx(15)
    assert (await run(model(1.0, tokens=30, fails=2).retry(3))).tokens_per_second == pytest.approx(30)


async def test_of_a_stream_the_time_to_the_first_token_is_not_time_spent_generating():
    result = await run(model(3.0, tokens=10, first=1.0))
    assert (result.time_to_first_token, result.tokens_per_second) == (pytest.approx(1), pytest.approx(5))
    assert (await run(model(3.0, tokens=10, first=0.5))).time_to_first_token == pytest.approx(0.5)


async def test_of_a_race_they_are_the_winners_and_of_a_fallback_those_of_the_one_that_answered():
    quick, slow = model(1.0, tokens=4, first=0.5), model(9.0, tokens=9, first=1.0)
    for plan in (race(slow, quick), fallback(model(fails=1), quick), race(race(slow, quick))):
        result = await run(plan)
        assert (result.time_to_first_token, result.tokens_per_second) == (0.5, pytest.approx(8))


@pytest.mark.parametrize(
    "plan",
    [
        lambda: model(1.0),
        lambda: model(0.0, tokens=10),
        lambda: model(1.0, tokens=10, fails=1),
        lambda: parallel(model(1.0, tokens=10), model(1.0, tokens=10)),
        lambda: race(Work(1.0)),
        lambda: race(model(1.0, fails=1), model(1.0, fails=1)),
    ],
    ids=["tokens unknown", "no time", "failed", "several", "no model", "no winner"],
)
async def test_what_nobody_knows_is_none(plan):
    result = await run(plan())
    assert (result.tokens_per_second, result.time_to_first_token) == (None, None)


async def test_a_callable_that_awaits_one_call_is_answered_by_it_and_one_that_awaits_two_by_neither():
    async def one():
        return await model(2.0, tokens=10)

    async def two():
        return await model(2.0, tokens=10) + await model(2.0, tokens=10)

    assert (await run(race(one))).tokens_per_second == pytest.approx(5)
    assert (await run(race(two))).tokens_per_second is None


# --- how much at once


async def test_the_peak_of_parallel_is_its_concurrency_and_the_speed_up_as_much():
    for concurrency in (1, 2, 3, 6):
        result = await run(parallel(*[model() for _ in range(6)], concurrency=concurrency))
        assert result.peak_concurrency == concurrency
        assert result.speed_up == pytest.approx(concurrency)


async def test_a_limit_that_all_share_is_the_peak_over_the_whole_tree():
    registry = Registry()
    shared = registry.declare(lambda _: asyncio.sleep(1.0, "yes"), {"name": "model", "concurrency": 3})
    result = await run(parallel(*[parallel(*[shared("?") for _ in range(4)]) for _ in range(4)]))
    assert (result.peak_concurrency, shared.slots.peak) == (3, 3)
    assert [child.peak_concurrency <= 3 for child in result.each_child()] == [True] * 4


async def test_one_after_another_is_no_faster_than_that():
    for plan in (
        model(),
        model(fails=2).retry(3),
        sequence(model(), model()),
        fallback(model(fails=1), model()),
        race(Work(1.0)),
    ):
        result = await run(plan)
        assert (result.peak_concurrency, result.speed_up) == (1, pytest.approx(1))


async def test_waits_count_as_they_were():
    """Two seconds at once and two of back-off: side by side four, one after another six."""
    result = await run(parallel(retry(2, initial_delay=2, jitter=0)(model(1.0, fails=1)), model(2.0)))
    assert (result.duration, result.speed_up) == (pytest.approx(4), pytest.approx(5 / 4))
    result = await run(parallel(retry(2, initial_delay=2, jitter=0)(model(1.0, fails=1)), model(4.0)))
    assert (result.duration, result.speed_up) == (pytest.approx(4), pytest.approx(6 / 4))


async def test_losers_count_while_they_ran_and_callables_as_attempts():
    result = await run(race(Work(1.0), Work(9.0), Work(9.0)))
    assert (result.peak_concurrency, result.speed_up) == (3, pytest.approx(3))
    result = await run(map(lambda item: Work(1.0)(), range(6), concurrency=2))
    assert (result.peak_concurrency, result.speed_up) == (2, pytest.approx(2))


async def test_a_function_that_waits_for_its_calls_is_not_at_work_itself():
    async def asks():
        await asyncio.sleep(1.0)
        await parallel(model(1.0), model(1.0))

    target = FunctionTarget(asks, "asks")
    result = await run(target())
    assert (result.peak_concurrency, result.speed_up) == (2, pytest.approx(3 / 2))
    result = await run(parallel(target(), target()))
    assert (result.peak_concurrency, result.speed_up) == (4, pytest.approx(6 / 2))


async def test_what_took_no_time_has_no_speed():
    for plan in (parallel(), model(0.0), parallel(model(0.0), model(0.0))):
        result = await run(plan)
        assert (result.duration, result.speed_up) == (0, None)
    assert (await run(parallel())).peak_concurrency == 0


async def test_what_never_began_or_waited_for_a_slot_was_not_at_work():
    registry = Registry()
    one = registry.declare(lambda _: asyncio.sleep(1.0, "yes"), {"name": "model", "concurrency": 1})
    result = await run(race(one("?"), one("?"), one("?")))
    assert result.peak_concurrency == 1
    result = await run(sequence(model(fails=1), model(), model()))
    assert (len(list(everything(result))), result.peak_concurrency) == (1, 1)


async def test_what_an_earlier_run_had_attempted_is_not_counted():
    result = await run(model(1.0))
    attempt = result.attempts[0]
    before = msgspec.structs.replace(
        attempt, id="t#0", started_at=attempt.started_at - (result.finished_at - result.started_at) * 0.5
    )
    again = msgspec.structs.replace(result, attempts=(before, attempt))
    assert (again.peak_concurrency, again.speed_up) == (1, 1)


async def test_the_time_before_the_first_call_is_the_queue_time():
    engine = Engine(lambda _: model())
    now = asyncio.get_running_loop().time()
    assert [(await engine.run(None, received=now - waited)).queue_time for waited in (0, 3)] == [0, 4]


@settings(COMMON, max_examples=60)
@given(PLANS)
async def test_whatever_the_task_it_is_never_slower_than_one_after_another(spec):
    world = World()
    result = await Engine(lambda _: race(world.make(spec)), slots=Limit(1)).run(None, task_id="t")
    assert result.speed_up is None or 1 <= result.speed_up <= max(1, result.peak_concurrency) + 1e-3
    assert result.retries <= len(list(everything(result)))
    for _ in range(8):
        await asyncio.sleep(1)
