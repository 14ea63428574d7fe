"""What a pool says for all that is submitted, and what a submission says instead."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from streamer import Engine, Pool, function, llm, retry
from streamer.errors import Category
from streamer.operand import as_single
from streamer.providers import provider
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from streamer.tasks import Function, Parallel, Retry, Timeouts
from tests.operators.doubles import Script, Work, now, passing


async def test_a_shared_retry_holds_for_all_but_those_that_say_otherwise():
    async with Pool(retry=Retry(max_attempts=2, initial_delay=1)) as pool:
        shared, off, more = Script(passing()), Script(passing()), Script(passing())
        futures = [
            await pool.submit(shared),
            await pool.submit(off, retry=None),
            await pool.submit(more, retry=4),
        ]
        await asyncio.gather(*futures)
    assert [len(script.began) for script in (shared, off, more)] == [2, 1, 4]


async def test_an_operator_is_a_retry_too():
    script = Script(ValueError("odd"), "even")
    async with Pool(retry=retry(2, initial_delay=1, retry_on=ValueError)) as pool:
        assert (await pool.submit_nowait(script)).value == "even"


def called(script, **settings):
    registry = Registry()
    registry.declare(lambda request: script(), {"name": "model"})
    return Engine(providers=registry, **settings)


async def test_what_a_task_of_the_wire_says_itself_holds():
    script = Script(passing())
    async with Pool(retry=5, engine=called(script)) as pool:
        await pool.submit_nowait(
            llm("?", model="model", retry={"max_attempts": 2, "initial_delay": 1}), retry=7
        )
    assert len(script.began) == 2


async def test_the_calls_of_a_task_of_the_wire_are_retried_each_and_not_the_whole():
    script = Script(passing(), "one", "two")
    task = Parallel(tasks=(llm("?", model="model"), llm("?", model="model")))
    async with Pool(retry=2, engine=called(script)) as pool:
        assert (await pool.submit_nowait(task)).value == ["two", "one"]


async def test_an_engines_own_retry_can_be_switched_off():
    script = Script(passing())
    async with Pool(engine=called(script, retry=Retry(initial_delay=1))) as pool:
        await pool.submit_nowait(llm("?", model="model"), retry=None)
        assert len(script.began) == 1
        await pool.submit_nowait(llm("?", model="model"))
        assert len(script.began) == 4


@pytest.mark.parametrize("clocks", [2, Timeouts(attempt=2)])
async def test_a_shared_clock_holds_for_each_attempt_of_all_but_those_that_say_otherwise(clocks):
    async with Pool(
        4, timeout=clocks, retry=Retry(retry_on=("timeout",), max_attempts=2, initial_delay=1)
    ) as pool:
        slow = Work(3, "slow")
        futures = [
            await pool.submit(slow),
            await pool.submit(Work(3, "slow"), timeout=None),
            await pool.submit(Work(3, "slow"), timeout=4),
            await pool.submit(Work(1, "quick")),
        ]
        results = [await future for future in futures]
    assert [result.status for result in results] == ["timed_out", "succeeded", "succeeded", "succeeded"]
    assert len(slow.began) == 2


async def test_shared_fallbacks_hold_for_all_but_those_that_say_otherwise():
    async with Pool(fallbacks=[lambda: "shared"]) as pool:
        broken = Work(error=passing())
        futures = [
            await pool.submit(broken),
            await pool.submit(broken, fallbacks=()),
            await pool.submit(broken, fallbacks=[broken, lambda: "own"]),
        ]
        results = [await future for future in futures]
    assert [result.value for result in results] == ["shared", None, "own"]
    assert [result.kind for result in results] == ["fallback", "function", "fallback"]


@pytest.mark.parametrize(
    "operand", [lambda broken: llm("ask", model="broken"), lambda broken: broken("ask")], ids=["task", "call"]
)
async def test_a_provider_as_a_fallback_is_asked_what_the_task_asks(operand):
    registry = Registry()
    script = Script(passing())
    broken = registry.declare(lambda request: script(), {"name": "broken"})
    async with Pool(fallbacks=[provider("echo:")], engine=Engine(providers=registry)) as pool:
        result = await pool.submit_nowait(operand(broken))
        assert (result.value, result.provider) == ("ask", "echo")
        with pytest.raises(TypeError, match="fallbacks"):
            pool.submit_nowait(Work())


async def test_metadata_is_the_pools_or_the_tasks():
    async with Pool(metadata={"user": 1}) as pool:
        futures = [
            await pool.submit(Work()),
            await pool.submit(Work(), metadata={"user": 2}),
            await pool.submit(Work(), metadata=None),
            await pool.submit(llm("?", model="echo:", metadata={"user": 3})),
        ]
        assert [(await future).metadata for future in futures] == [
            {"user": 1},
            {"user": 2},
            None,
            {"user": 3},
        ]


async def test_a_topologys_engine_answers_tasks_as_the_topology_does():
    engine = Engine(lambda task: provider("echo:")(f"topology: {task.prompt}"))
    async with Pool(engine=engine, timeout=5) as pool:
        result = await pool.submit_nowait(llm("hello"))
        own = await pool.submit_nowait(lambda: "own")
    assert (result.kind, result.value, own.value) == ("llm", "topology: hello", "own")


@pytest.mark.parametrize("answer", [None, lambda task: as_single(Work(50))], ids=["wire", "topology"])
async def test_the_deadline_of_a_task_holds_for_its_fallbacks_too(answer):
    soon = datetime.now(UTC) + timedelta(seconds=5)
    slow = Work(50)
    engine = Engine(answer, functions={"slow": FunctionTarget(slow.__call__, "slow")})
    task = msgspec.convert({"kind": "function", "name": "slow", "deadline": soon}, Function)
    async with Pool(engine=engine, timeout=3, retry=Retry(max_attempts=1), fallbacks=[Work(50)]) as pool:
        result = await pool.submit_nowait(task)
    assert (result.status, result.error.category) == ("timed_out", Category.DEADLINE)
    assert 4 < now() < 6


async def test_functions_of_the_engine_are_called():
    engine = Engine(functions={"double": FunctionTarget(lambda x: 2 * x, "double")})
    async with Pool(engine=engine) as pool:
        assert (await pool.submit_nowait(function("double", 21))).value == 42
