"""X02: the peak is the limit, and never above it, however many calls share it at the same time."""

import asyncio

import pytest

from streamer import (
    Engine,
    Limit,
    Pool,
    batched,
    concurrent_map,
    consensus,
    in_thread,
    limited,
    map,
    parallel,
)
from streamer.operand import as_single
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from tests.acceptance.topology import call
from tests.operators.doubles import now

pytestmark = pytest.mark.virtual_time

LIMIT = 2


class Crowd:
    """Work that counts how much of it there is at once."""

    def __init__(self) -> None:
        self.running = self.peak = self.done = 0

    async def __call__(self, *_):
        self.running += 1
        self.peak = max(self.peak, self.running)
        await asyncio.sleep(1)
        self.running -= 1
        self.done += 1
        return "same"


async def side_by_side(*works):
    """Three calls at the same time, each of which could fill the limit by itself."""
    await asyncio.gather(*(work.started() for work in works))


async def of_a_provider(crowd):
    model = Registry().declare(crowd, {"name": "model", "concurrency": LIMIT})
    await side_by_side(*(parallel(*(model("?") for _ in range(4))) for _ in range(3)))


async def of_two_providers(crowd):
    registry, limit = Registry(), Limit(LIMIT, "both")
    one, other = (registry.declare(crowd.__call__, {"name": n, "concurrency": limit}) for n in "ab")
    await side_by_side(*(parallel(*(model("?") for model in (one, other, one))) for _ in range(4)))


async def of_a_function(crowd):
    function = FunctionTarget(crowd.__call__, "work", concurrency=LIMIT)
    await side_by_side(*(parallel(*(function() for _ in range(4))) for _ in range(3)))


async def of_the_operator(crowd):
    limit = Limit(LIMIT, "shared")
    await side_by_side(
        *(map(lambda _: as_single(crowd).pipe(limited(limit)), range(4), concurrency=4) for _ in range(3))
    )


async def of_an_engine(crowd):
    engine = Engine(lambda _: as_single(crowd), concurrency=LIMIT)
    await asyncio.gather(*(engine.run(n) for n in range(12)))


async def of_streams(crowd):
    limit = Limit(LIMIT, "streams")

    async def read(items):
        end = asyncio.get_running_loop().create_future()
        concurrent_map(crowd, limit)(items).subscribe(
            on_error=end.set_exception, on_completed=lambda: end.set_result(None)
        )
        await end

    await asyncio.gather(*(read(range(4)) for _ in range(3)))


async def of_a_pool(crowd):
    async with Pool(LIMIT) as pool:
        await asyncio.gather(*[await pool.submit(parallel(crowd, concurrency=1)) for _ in range(12)])


async def of_the_process(crowd):
    """What MAX_CONCURRENT_LLM_CALLS says counts every model call, in a group or not."""
    registry = Registry()
    one, other = (registry.declare(crowd.__call__, {"name": name}) for name in "ab")
    calls = [parallel(one("?"), other("?"), one("?")) for _ in range(3)]
    await side_by_side(*calls, *(other("alone") for _ in range(3)))


SHARED = {
    "a provider's": of_a_provider,
    "two providers'": of_two_providers,
    "a function's": of_a_function,
    "limited's": of_the_operator,
    "an Engine's": of_an_engine,
    "streams'": of_streams,
    "a Pool's": of_a_pool,
    "the process's": of_the_process,
}


@pytest.mark.parametrize("run", SHARED.values(), ids=SHARED)
async def test_x02_a_shared_limit_bounds_simultaneous_calls_together(monkeypatch, run):
    """Of twelve calls by three callers there are two at once, not two for each."""
    if run is of_the_process:
        monkeypatch.setenv("MAX_CONCURRENT_LLM_CALLS", str(LIMIT))
    crowd = Crowd()
    await run(crowd)
    assert (crowd.peak, crowd.done) == (LIMIT, 12)
    assert now() == 6


OWN = {
    "parallel": lambda crowd: parallel(*[crowd] * 12, concurrency=LIMIT),
    "map": lambda crowd: map(crowd, range(12), concurrency=LIMIT),
    "map over an iterator": lambda crowd: map(crowd, iter(range(12)), concurrency=LIMIT),
    "consensus": lambda crowd: consensus(*[crowd] * 12, concurrency=LIMIT, minimum_agreement=1),
    "map by batches": lambda crowd: map(crowd, range(12), batch_size=LIMIT),
    "batched": lambda crowd: parallel(*in_calls_of_one(crowd)),
}


def in_calls_of_one(crowd):
    async def answers(items):
        return [await crowd() for _ in items]

    ask = batched(answers, 1, 0, concurrency=LIMIT)
    return [ask(n) for n in range(12)]


@pytest.mark.parametrize("combine", OWN.values(), ids=OWN)
async def test_x02_a_limit_of_an_operators_own(combine):
    crowd = Crowd()
    await combine(crowd)
    assert crowd.peak == LIMIT


async def test_x02_no_more_threads_than_a_function_is_given():
    crowd = []
    function = in_thread(lambda n: crowd.append(n) or n, concurrency=LIMIT)
    assert await parallel(*(function(n) for n in range(12))) == list(range(12))
    assert (function.slots.peak, function.slots.active) == (LIMIT, 0)


WIRE = {f"x02-{n}": {"kind": "parallel", "tasks": [call("crowded", 0.02)] * 3} for n in range(4)}


async def test_x02_on_the_wire(answer):
    results = await asyncio.gather(*(answer(name) for name in WIRE))
    assert max(max(result["value"]) for result in results) == 2
