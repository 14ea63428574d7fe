"""X03: of nothing every operator makes something empty, at once and without an error; what cannot is typed."""

import asyncio

import msgspec
import pytest
import reactivex as rx

from streamer import Engine, Pool, batched, concurrent_map, consensus, fallback, map, parallel, race, sequence
from streamer.tasks import Task
from tests.operators.doubles import now, others, result_of

pytestmark = pytest.mark.virtual_time


async def nothing():
    return
    yield


EMPTY = {
    "parallel": (lambda told: parallel(**told), []),
    "parallel, by name": (lambda told: parallel({}, **told), {}),
    "parallel, fail_fast": (lambda told: parallel(fail_fast=True, **told), []),
    "parallel, any": (lambda told: parallel(require="any", **told), []),
    "parallel, one at a time": (lambda told: parallel(concurrency=1, **told), []),
    "sequence": (lambda told: sequence(**told), []),
    "sequence, handed over": (lambda told: sequence(pass_result=True, **told), []),
    "map": (lambda told: map(str, [], **told), []),
    "map over an iterator": (lambda told: map(str, iter(()), **told), []),
    "map over an async iterator": (lambda told: map(str, nothing(), **told), []),
    "map by batches": (lambda told: map(str, [], batch_size=3, **told), []),
    "sum": (lambda told: parallel(reduce="sum", **told), 0),
    "count": (lambda told: map(str, iter(()), reduce="count", **told), 0),
    "concat": (lambda told: parallel(reduce="concat", **told), ""),
    "merge": (lambda told: parallel(reduce="merge", **told), {}),
}


@pytest.mark.parametrize(("make", "value"), EMPTY.values(), ids=EMPTY)
async def test_x03_the_value_is_empty_and_nobody_is_told_of_anything(make, value):
    told = []
    hooks = dict.fromkeys(("on_progress", "on_complete", "on_error"), lambda *said: told.append(said))
    result = await result_of(make(hooks))
    assert (result.value, result.status, told) == (value, "succeeded", [])
    assert result.all_succeeded
    assert (result.successes, result.failures, result.successful_values()) == (0, 0, [])
    assert now() == 0
    assert not others()


@pytest.mark.parametrize("combine", [race, fallback, consensus], ids=["race", "fallback", "consensus"])
def test_x03_what_needs_one_says_so_when_it_is_made(combine):
    with pytest.raises(ValueError, match=r"needs at least"):
        combine()


def test_x03_a_consensus_needs_two():
    with pytest.raises(ValueError, match="at least two tasks, not 1"):
        consensus(lambda: 1)


SOURCES = {"a list": list, "an iterator": lambda: iter(()), "async": nothing, "an Observable": rx.empty}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
async def test_x03_a_stream_of_nothing_ends(source):
    assert [result async for result in Engine().stream(source())] == []
    for stream in (Engine().answers(source()), concurrent_map(str, 2)(source())):
        told = []
        end = asyncio.Event()
        stream.subscribe(told.append, told.append, end.set)
        await end.wait()
        assert told == []
    assert not others()


async def test_x03_a_pool_that_was_given_nothing_drains_and_shuts_down():
    pool = Pool()
    await pool.drain()
    await pool.shutdown()
    await pool.shutdown()
    async with Pool() as pool:
        assert (pool.stats.submitted, pool.queued, pool.active) == (0, 0, 0)
    assert not others()


async def test_x03_nobody_is_asked_for_an_empty_batch():
    asked = []
    batched(asked.append, 3, 1)
    await asyncio.sleep(10)
    assert asked == []


@pytest.mark.parametrize("kind", ["race", "fallback", "consensus"])
def test_x03_the_wire_refuses_what_can_have_no_answer(kind):
    with pytest.raises(msgspec.ValidationError, match=r"length >= \d - at `\$\.tasks`"):
        msgspec.convert({"kind": kind, "tasks": []}, Task)


WIRE = {
    "x03-parallel": {"kind": "parallel", "tasks": []},
    "x03-named": {"kind": "parallel", "tasks": {}},
    "x03-sequence": {"kind": "sequence", "tasks": []},
    "x03-map": {"kind": "map", "items": [], "task": {"kind": "llm", "prompt": "{{ item }}"}},
    "x03-sum": {"kind": "parallel", "tasks": [], "reduce": "sum"},
}
VALUES = {"x03-named": {}, "x03-sum": 0}


@pytest.mark.parametrize("name", WIRE)
async def test_x03_on_the_wire(answer, name):
    result = await answer(name)
    assert (result["status"], result["value"]) == ("succeeded", VALUES.get(name, []))
