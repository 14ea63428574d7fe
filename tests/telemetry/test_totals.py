"""What many results tell together: every field changes with what it tells of."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, fields

from streamer import aggregate, parallel, race
from streamer.engine import Engine
from streamer.limits import Limit
from streamer.operators import concurrent_map
from streamer.results import Result, Status, Usage
from streamer.telemetry import Totals
from streamer.telemetry.measures import everything
from streamer.telemetry.totals import percentile
from tests.engine.test_properties import COMMON, PLANS, World, settled
from tests.telemetry.test_measures import model, run

pytestmark = pytest.mark.virtual_time


async def test_of_nothing_nothing():
    assert aggregate([]) == Totals()


async def test_every_field_changes():
    """Of one quick answer, and of it with a slow task beside it, no field is the same but those of other statuses."""
    engine = Engine(lambda plan: plan)
    now = asyncio.get_running_loop().time()
    one = await run(model(1.0, tokens=4, first=0.5))
    busy = parallel(model(4.0, tokens=90, first=1.0), model(1.0, tokens=90, fails=1).retry(2))
    two = await engine.run(race(busy, model(9.0)), received=now - 3)
    alone, both = asdict(aggregate([one])), asdict(aggregate([one, two, two]))
    same = {name for name in alone if alone[name] == both[name]}
    assert same == {"failed", "timed_out", "cancelled", "skipped", "time_to_first_token", "tokens_per_second"}
    slow = await run(model(3.0, tokens=4, first=1.0))
    three = aggregate([slow, slow, one])
    assert (three.time_to_first_token, three.tokens_per_second) == (1.0, pytest.approx(2))


@pytest.mark.parametrize("status", list(Status))
async def test_statuses_are_counted_and_add_up(status):
    result = await run(model())
    totals = aggregate([result, Result(**{**asdict(result), "status": status})])
    counts = Counter([Status.SUCCEEDED, status])
    assert {each: getattr(totals, each) for each in Status} == {each: counts[each] for each in Status}
    assert totals.results == 2


async def test_many_side_by_side_are_as_much_faster_as_there_are_slots(monkeypatch):
    loop = asyncio.get_running_loop()
    monkeypatch.setattr("streamer.scope.time", SimpleNamespace(time=lambda: 1e9 + loop.time()))
    engine, slots = Engine(lambda _: model(1.0)), Limit(5)
    results: list[Result] = []
    done = loop.create_future()
    concurrent_map(engine.run, slots)(range(20)).subscribe(
        results.append, done.set_exception, lambda: done.set_result(None)
    )
    await done
    totals = aggregate(iter(results))
    assert (totals.results, totals.peak_concurrency, slots.peak) == (20, 5, 5)
    assert (totals.elapsed, totals.duration, totals.speed_up) == pytest.approx((4, 20, 5))
    assert (totals.duration_p50, totals.duration_p95) == pytest.approx((1, 1))


@settings(COMMON, max_examples=60)
@given(st.lists(PLANS, max_size=4), st.randoms())
async def test_the_sums_are_those_of_the_results_in_any_order(specs, chance):
    results = [await Engine(lambda _, spec=spec: race(World().make(spec))).run(None) for spec in specs]
    totals = aggregate(results)
    assert totals.results == sum(getattr(totals, status) for status in Status) == len(results)
    assert totals.attempts == sum(len(list(everything(result))) for result in results)
    assert totals.retries == sum(result.retries for result in results)
    assert totals.duration == pytest.approx(sum(result.duration for result in results))
    usage = [result.usage for result in results if result.usage is not None]
    assert totals.usage == (sum(usage[1:], usage[0]) if usage else None)
    assert totals.cost == (sum(r.cost for r in results if r.cost is not None) or None)
    mixed = list(results)
    chance.shuffle(mixed)
    again = aggregate(mixed)
    assert again.usage == totals.usage
    for name in (field.name for field in fields(Totals) if field.name != "usage"):
        assert getattr(again, name) == pytest.approx(getattr(totals, name), abs=1e-3), name
    await settled()


async def test_costs_and_tokens_of_what_failed_are_in_the_sums():
    totals = aggregate([await run(model(fails=1).retry(2)), await run(model(fails=1, tokens=7))])
    assert (totals.usage, totals.cost) == (Usage(input_tokens=2), 1.25)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_the_least_value_that_as_many_do_not_exceed(series, share):
    value = percentile(series, share)
    assert value in series
    assert sum(other <= value for other in series) >= share * len(series) - 1e-6
    assert sum(other < value for other in series) < share * len(series) + 1e-6
    assert percentile([], share) is None
