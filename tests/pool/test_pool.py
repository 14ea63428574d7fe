"""Pool: submit now, have the result later."""

import asyncio
from contextvars import ContextVar

import pytest

from streamer import Pool, Status, fallback, llm
from streamer.errors import QueueFull
from streamer.providers import provider
from streamer.tasks import Retry
from tests.operators.doubles import Script, Stubborn, Work, cancels_itself, now, others, passing
from tests.pool.adding import add_up

VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


async def test_a_future_has_the_result_of_what_was_submitted():
    async with Pool() as pool:
        future = await pool.submit(Work(2, "answer"), id="one", tag="first")
        result = await future
    assert (result.task_id, result.tag, result.status, result.value) == (
        "one",
        "first",
        "succeeded",
        "answer",
    )
    assert (result.queue_time, result.duration) == (0, 2)


async def test_what_fails_is_a_result_as_well_and_the_exception_is_in_it():
    error = ValueError("no")
    async with Pool() as pool:
        result = await pool.submit_nowait(Work(error=error))
    assert (result.status, result.error.exception) == (Status.FAILED, error)


async def test_singles_tasks_and_callables_are_taken():
    async with Pool() as pool:
        operands = [
            fallback(Work(error=passing()), lambda: "single"),
            llm("task", model="echo:"),
            lambda: "callable",
            provider("echo:")("call"),
        ]
        results = [await (await pool.submit(operand)) for operand in operands]
    assert [result.value for result in results] == ["single", "task", "callable", "call"]
    assert [result.kind for result in results] == ["fallback", "llm", "function", "llm"]


async def test_what_is_no_operand_is_refused_at_once():
    async with Pool() as pool:
        with pytest.raises(TypeError, match=r"submit\(\) knows no n; there are retry, .*: lambda: f\(1\)"):
            await Pool(1).submit(str, n=1)
        with pytest.raises(TypeError, match="Expected a Single"):
            await pool.submit("a prompt")
        assert add_up(pool).submitted == 0


async def test_three_work_at_once_by_default_and_the_rest_waits():
    work = [Work(1, number) for number in range(7)]
    async with Pool() as pool:
        futures = [await pool.submit(each) for each in work]
        assert (pool.workers, pool.active, pool.queued) == (3, 3, 4)
        assert [(await future).queue_time for future in futures] == [0, 0, 0, 1, 1, 1, 2]
        assert (pool.active, pool.queued) == (0, 0)


async def test_nothing_is_started_before_the_first_submission_and_nothing_remains_after_the_last():
    pool = Pool()
    assert not others()
    await pool.submit(Work(1))
    assert len(others()) == 1
    await pool.drain()
    await asyncio.sleep(0)
    assert not others()


async def test_each_runs_in_the_context_of_its_submitter():
    async def see():
        seen = VARIABLE.get()
        VARIABLE.set("by a task")
        return seen

    async with Pool(1) as pool:
        VARIABLE.set("one")
        first = await pool.submit(see)
        VARIABLE.set("two")
        second = await pool.submit(see)
        assert [(await first).value, (await second).value] == ["one", "two"]
    assert VARIABLE.get() == "two"


async def test_what_a_task_submits_is_no_part_of_that_task():
    async with Pool() as pool:

        async def outer():
            return [await pool.submit(provider("echo:")("inner"))]

        result = await pool.submit_nowait(outer)
        inner = await result.value[0]
    assert (result.attempts, len(inner.attempts), inner.value) == ((), 1, "inner")


@pytest.mark.parametrize(
    "ends", [cancels_itself, lambda: exec("raise SystemExit(3)"), lambda: exec("raise GeneratorExit")]
)
async def test_nothing_that_a_task_raises_ends_a_worker(ends):
    async with Pool(1) as pool:
        first, second = await pool.submit(ends), await pool.submit(lambda: "alive")
        assert (await first).status in ("cancelled", "failed")
        assert (await second).value == "alive"
        add_up(pool)


async def test_a_task_that_cancels_what_runs_it_ends_alone():
    async def suicidal():
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    async with Pool(1) as pool:
        first, second = await pool.submit(suicidal), await pool.submit(lambda: "alive")
        assert ((await first).status, (await second).value) == ("cancelled", "alive")


async def test_a_back_off_holds_no_worker():
    flaky = Script(passing(), "at last")
    async with Pool(1, retry=Retry(initial_delay=5, jitter=0)) as pool:
        first, second = await pool.submit(flaky), await pool.submit(Work(1, "quick"))
        await second
        assert now() == 1
        assert (pool.active, pool.queued) == (0, 1)
        add_up(pool)
        assert (await first).value == "at last"
        assert now() == 5


async def test_those_in_a_back_off_count_against_the_queue():
    async with Pool(1, queue=2, retry=Retry(initial_delay=5, jitter=0)) as pool:
        for _ in range(3):
            await pool.submit(Script(passing(), "at last"))
        await asyncio.sleep(1)
        assert (pool.active, pool.queued) == (0, 3)
        with pytest.raises(QueueFull):
            pool.submit_nowait(Work())


async def test_strays_keep_their_worker_until_they_end():
    stubborn = Stubborn()
    async with Pool(1, timeout=1) as pool:
        late = await pool.submit(stubborn)
        assert (await late).status == "timed_out"
        after = await pool.submit(Work(1), timeout=None)
        await asyncio.sleep(10)
        assert (pool.active, pool.queued) == (0, 1)
        stubborn.release.set()
        assert (await after).queue_time > 9
