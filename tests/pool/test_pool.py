"""Pool: submit now, have the result later, and hear of everything."""

import asyncio
import gc
import warnings
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from streamer import Engine, Pool, Status, fallback, function, llm, parallel, retry
from streamer.errors import Category, PoolClosed, PoolDraining, QueueFull, SettingsError
from streamer.events import AttemptEnded, AttemptStarted, RetryScheduled, TaskEnded
from streamer.operand import as_single
from streamer.pool import PoolStats
from streamer.providers import provider
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from streamer.tasks import Function, Parallel, Retry, Timeouts
from streamer.testing.clock import run
from tests.operators.doubles import Script, Stubborn, Work, cancels_itself, now, others, passing

VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


def add_up(pool: Pool) -> PoolStats:
    stats = pool.stats
    ended = stats.succeeded + stats.failed + stats.timed_out + stats.cancelled + stats.skipped
    assert ended == stats.finished
    assert stats.submitted == ended + pool.queued + pool.active
    return stats


# --- results


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


# --- the crew


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


# --- cancelling futures


async def test_a_cancelled_future_of_what_waits_never_begins():
    work = Work(1)
    async with Pool(1) as pool:
        await pool.submit(Work(1))
        future = await pool.submit(work)
        future.cancel()
        await pool.drain()
        assert not work.began
        stats = add_up(pool)
        assert (stats.succeeded, stats.cancelled) == (1, 1)


async def test_a_cancelled_future_of_what_runs_cancels_it_and_the_worker_goes_on():
    work = Work(50, cleanup=0.5)
    async with Pool(1) as pool:
        future, after = await pool.submit(work), await pool.submit(Work(1, "next"))
        await asyncio.sleep(3)
        future.cancel()
        assert (await after).queue_time == 3.5
        assert (work.cancelled, work.alive) == (1, 0)
        stats = add_up(pool)
        assert (stats.succeeded, stats.cancelled) == (1, 1)


async def test_a_future_cancelled_in_the_moment_it_begins_costs_no_worker():
    work = Work(1)
    async with Pool(1) as pool:
        (await pool.submit(work)).cancel()
        assert (await pool.submit_nowait(lambda: "alive")).value == "alive"
        assert not work.began
        assert add_up(pool).cancelled == 1


async def test_many_cancelled_futures_are_passed_over_at_once():
    async with Pool(1, queue=5_000) as pool:
        first = await pool.submit(Work(1))
        futures = [await pool.submit(Work(1)) for _ in range(5_000)]

        def end(_):
            for future in futures:
                future.cancel()

        first.add_done_callback(end)
        await pool.drain()
        assert add_up(pool).cancelled >= 4_999


async def test_tasks_are_cancelled_by_id_and_their_futures_have_the_result():
    async with Pool(1) as pool:
        futures = [await pool.submit(Work(5, name), id=name) for name in ("runs", "stays", "waits")]
        await asyncio.sleep(1)
        assert [pool.cancel(name) for name in ("runs", "waits", "unknown")] == [True, True, False]
        assert [(await future).status for future in futures] == ["cancelled", "succeeded", "cancelled"]
        assert not pool.cancel("runs")
    add_up(pool)


async def test_what_a_cancelled_task_has_paid_for_is_in_its_result():
    ended = []
    async with Pool(on_event=ended.append) as pool:
        future = await pool.submit(parallel(provider("echo:")("paid"), Work(50)))
        await asyncio.sleep(1)
        future.cancel()
    (result,) = [event.result for event in ended if isinstance(event, TaskEnded)]
    assert (result.status, result.error.category) == ("cancelled", Category.CANCELLED)
    assert [(child.status, len(child.attempts)) for child in result.children] == [
        ("succeeded", 1),
        ("cancelled", 0),
    ]


# --- what is shared, and what is said instead


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


# --- order and room


async def test_higher_priority_begins_first_among_those_that_wait():
    began = []
    async with Pool(1) as pool:
        await pool.submit(Work(1))
        for priority in (0, 5, -5, 5):
            await pool.submit(lambda p=priority: began.append(p), priority=priority)
    assert began == [5, 5, 0, -5]


async def test_low_priority_is_not_starved_by_a_stream_of_higher():
    async with Pool(1) as pool:
        await pool.submit(Work(1))
        low = await pool.submit(Work(1))
        while not low.done():
            await pool.submit(Work(1), priority=3)
            await asyncio.sleep(1)
        assert (await low).queue_time <= 32


async def test_submit_waits_for_room_in_turn():
    async with Pool(1, queue=1) as pool:
        began = []
        submitting = [asyncio.ensure_future(pool.submit(Work(1), id=str(number))) for number in range(5)]
        for number, each in enumerate(submitting):
            await (await each)
            began.append((number, now()))
    assert began == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


@pytest.mark.parametrize("when_full", ["wait", "refuse"])
async def test_without_room_it_refuses_where_it_is_not_to_wait(when_full):
    async with Pool(1, queue=1, when_full=when_full) as pool:
        await pool.submit(Work(1))
        await pool.submit(Work(1))
        with pytest.raises(QueueFull, match="1 workers and a queue of 1"):
            pool.submit_nowait(Work(1))
        if when_full == "refuse":
            with pytest.raises(QueueFull):
                await pool.submit(Work(1))
        assert add_up(pool).submitted == 2


async def test_a_submission_cancelled_while_it_waits_for_room_never_begins():
    work = Work(1)
    async with Pool(1, queue=1) as pool:
        await pool.submit(Work(1))
        await pool.submit(Work(1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.submit(work), 0.5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.submit(work), 0.5)  # to the instant when there is room
    assert not work.began
    add_up(pool)


# --- the end


async def test_drain_waits_for_everything_and_accepts_nothing_meanwhile():
    async with Pool(1) as pool:
        futures = [await pool.submit(Work(1)) for _ in range(3)]
        draining = asyncio.ensure_future(pool.drain())
        await asyncio.sleep(0.5)
        with pytest.raises(PoolDraining, match="being drained"):
            await pool.submit(Work())
        await draining
        assert all(future.done() for future in futures)
        assert (await pool.submit_nowait(lambda: "again")).value == "again"


async def test_who_waits_for_room_is_turned_away_by_a_drain():
    async with Pool(1, queue=1) as pool:
        await pool.submit(Work(1))
        await pool.submit(Work(1))
        waiting = asyncio.ensure_future(pool.submit(Work(1)))
        await asyncio.sleep(0)
        await pool.drain()
        with pytest.raises(PoolDraining):
            await waiting
        assert add_up(pool).submitted == 2


@pytest.mark.parametrize("how", ["its timeout", "a cancellation"])
async def test_a_drain_that_is_given_up_leaves_a_pool_that_accepts(how):
    async with Pool(1) as pool:
        slow = await pool.submit(Work(9, "slow"))
        with pytest.raises(TimeoutError):
            await (pool.drain(timeout=1) if how == "its timeout" else asyncio.wait_for(pool.drain(), 1))
        quick = await pool.submit(lambda: "quick")
        await pool.drain()
        assert ((await slow).value, (await quick).value) == ("slow", "quick")


async def test_a_graceful_shutdown_finishes_everything_and_is_idempotent():
    pool = Pool(1)
    futures = [await pool.submit(Work(1, "done")) for _ in range(3)]
    await asyncio.gather(pool.shutdown(), pool.shutdown())
    await pool.shutdown()
    await pool.shutdown(now=True)
    assert [(await future).value for future in futures] == ["done"] * 3


async def test_a_pool_that_never_began_ends_at_once():
    await Pool().shutdown()
    await Pool().shutdown(now=True)
    await Pool().drain()


async def test_shutdown_now_cancels_what_runs_and_what_waits_never_begins():
    running, waiting = Work(50, cleanup=0.5), Work(1)
    pool = Pool(1)
    futures = [await pool.submit(running), await pool.submit(waiting)]
    await asyncio.sleep(1)
    await pool.shutdown(now=True)
    assert now() == 1.5
    assert [(await future).status for future in futures] == ["cancelled", "cancelled"]
    assert [len(running.began), len(waiting.began), running.alive] == [1, 0, 0]
    assert add_up(pool).cancelled == 2
    assert not others()


async def test_shutdown_now_hurries_a_graceful_one():
    pool = Pool(1)
    futures = [await pool.submit(Work(50)) for _ in range(3)]
    graceful = asyncio.ensure_future(pool.shutdown())
    await asyncio.sleep(1)
    await pool.shutdown(now=True)
    await graceful
    assert now() == 1
    assert [(await future).status for future in futures] == ["cancelled"] * 3


async def test_shutdown_now_does_not_wait_for_ever_for_what_does_not_end():
    stubborn = Stubborn()
    pool = Pool(1)
    future = await pool.submit(stubborn)
    await asyncio.sleep(1)
    await pool.shutdown(now=True)
    assert ((await future).status, now()) == ("cancelled", 3)
    stubborn.release.set()


@pytest.mark.parametrize("now", [False, True])
async def test_what_is_submitted_while_it_shuts_down_or_afterwards_is_refused(now):
    pool = Pool(1, queue=1)
    await pool.submit(Work(5, cleanup=0.5))
    await pool.submit(Work(5))
    waiting = asyncio.ensure_future(pool.submit(Work(5)))
    await asyncio.sleep(1)
    ending = asyncio.ensure_future(pool.shutdown(now=now))
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(PoolClosed, match="shut down"):
            await pool.submit(Work())
        with pytest.raises(PoolClosed):
            pool.submit_nowait(Work())
        await ending
    with pytest.raises(PoolClosed):
        await waiting
    assert add_up(pool).submitted == 2


async def test_the_block_finishes_everything_when_it_ends_well():
    async with Pool(1) as pool:
        futures = [await pool.submit(Work(1, "done")) for _ in range(3)]
    assert [future.result().value for future in futures] == ["done"] * 3


async def test_the_block_cancels_everything_when_it_raises():
    futures = []

    async def block():
        async with Pool(1) as pool:
            futures.extend([await pool.submit(Work(50)) for _ in range(3)])
            await asyncio.sleep(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert now() == 1
    assert [future.result().status for future in futures] == ["cancelled"] * 3
    assert not others()


@pytest.mark.parametrize("seconds", [1, 3])
async def test_the_block_cancels_everything_when_it_is_cancelled_inside_or_at_its_end(seconds):
    work = [Work(50) for _ in range(3)]

    async def block():
        async with Pool(1) as pool:
            for each in work:
                await pool.submit(each)
            await asyncio.sleep(2)

    task = asyncio.ensure_future(block())
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (now(), [len(each.began) for each in work]) == (seconds, [1, 0, 0])
    assert not others()


async def leave_a_pool_behind():
    pool = Pool(1)
    pool.crew.slots.take()  # so that nothing begins, and nothing but this function holds the pool
    pool.submit_nowait(Work(1))


async def test_a_pool_that_is_dropped_says_what_it_leaves_unfinished():
    await leave_a_pool_behind()
    with pytest.warns(ResourceWarning, match="1 tasks unfinished"):
        gc.collect()


def test_a_loop_that_is_wound_up_begins_nothing_that_waits():
    work, futures = [Work(50, cleanup=0.5) for _ in range(5)], []

    async def forget():
        pool = Pool(2)
        futures.extend([await pool.submit(each) for each in work])
        await asyncio.sleep(1)

    run(forget())
    gc.collect()
    assert [len(each.began) for each in work] == [1, 1, 0, 0, 0]
    assert [future.result().status for future in futures] == ["cancelled"] * 5


def test_a_pool_that_was_never_used_goes_quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Pool()
        gc.collect()


# --- events


async def test_events_are_told_to_the_callback_and_to_observers():
    told, observed = [], []
    pool = Pool(retry=Retry(initial_delay=1), on_event=told.append, metadata={"user": 1})
    done = asyncio.Event()
    pool.events.subscribe(observed.append, on_completed=done.set)
    script = Script(passing(), "answer")
    flaky = Registry().declare(lambda request: script(), {"name": "flaky"})
    await pool.submit(flaky("?"), id="one")
    await pool.shutdown()
    await done.wait()
    assert [type(event) for event in told] == [
        *(AttemptStarted, AttemptEnded, RetryScheduled),
        *(AttemptStarted, AttemptEnded, TaskEnded),
    ]
    assert told == observed
    assert told[-1].result.metadata == {"user": 1}


async def test_every_submission_ends_in_one_event_even_if_it_never_began():
    told = []
    async with Pool(1, on_event=told.append) as pool:
        await pool.submit(Work(9), id="runs")
        (await pool.submit(Work(9), id="withdrawn")).cancel()
        await pool.submit(Work(9), id="waits")
        await asyncio.sleep(1)
        await pool.shutdown(now=True)
    ends = {event.result.task_id: event.result.status for event in told}
    assert ends == {"runs": "cancelled", "withdrawn": "cancelled", "waits": "cancelled"}
    assert len(told) == 3


async def test_what_listeners_raise_changes_nothing_and_is_shown():
    shown = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: shown.append(context["message"]))

    def listener(event):
        raise ValueError("listener")

    async with Pool(on_event=listener) as pool:
        pool.events.subscribe(listener)
        assert (await pool.submit_nowait(lambda: "fine")).succeeded
    assert sorted(shown) == ["An event listener raised", "An observer of events raised"]


async def test_an_async_listener_is_awaited_beside_the_work():
    told, shown = [], []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: shown.append(context["message"]))

    async def listener(event):
        await asyncio.sleep(0.5)
        told.append(event)
        raise ValueError("listener")

    async with Pool(on_event=listener) as pool:
        await pool.submit(lambda: "fine")
    assert (len(told), shown) == (1, ["An event listener raised"])
    assert not others()


async def test_an_async_listener_that_does_not_keep_up_is_reported_and_holds_nothing():
    shown = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: shown.append(context["exception"]))

    async def listener(event):
        await asyncio.sleep(3_600)

    async with Pool(50, on_event=listener, queue=2_000) as pool:
        for _ in range(1_010):
            await pool.submit(lambda: 1)
        await pool.drain()
        assert len(others()) == 1_000
    assert len(shown) == 10
    assert not others()


async def test_a_subscription_that_is_disposed_of_is_told_no_more():
    seen = []
    async with Pool() as pool:
        subscription = pool.events.subscribe(seen.append)
        await pool.submit_nowait(lambda: 1)
        subscription.dispose()
        subscription.dispose()
        await pool.submit_nowait(lambda: 2)
    assert len(seen) == 1


async def test_who_subscribes_to_a_closed_pool_is_told_of_its_end():
    pool, completed = Pool(), []
    await pool.shutdown()
    pool.events.subscribe(on_completed=lambda: completed.append(True))
    assert completed == [True]


async def test_the_engines_own_listener_is_told_as_well():
    told = []
    async with Pool(engine=Engine(listener=told.append)) as pool:
        await pool.submit(lambda: 1)
    assert [type(event) for event in told] == [TaskEnded]


# --- numbers


async def test_stats_count_every_status_and_all_time_spent():
    async with Pool(10, timeout=5) as pool:
        for work in (Work(1), Work(2, error=ValueError()), Work(9)):
            await pool.submit(work)
        future = await pool.submit(Work(9))
        await asyncio.sleep(3)
        future.cancel()
        await pool.drain()
        assert add_up(pool) == PoolStats(
            submitted=4,
            succeeded=1,
            failed=1,
            timed_out=1,
            cancelled=1,
            skipped=0,
            queued=0,
            active=0,
            total_duration=1 + 2 + 5 + 3,
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers is a whole number of at least 1, not 0"),
        ({"workers": -1}, "workers"),
        ({"workers": True}, "workers"),
        ({"workers": 1.5}, "workers"),
        ({"queue": 0}, "queue is a whole number of at least 1, not 0"),
        ({"when_full": "drop"}, "when_full is 'wait' or 'refuse', not 'drop'"),
        ({"retry": 0}, "retry: .* >= 1"),
        ({"retry": True}, "retry"),
        ({"retry": Retry}, "retry"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"fallbacks": lambda: 1}, "fallbacks is a list"),
        ({"fallbacks": ["gpt"]}, "fallbacks"),
        ({"metadata": "user"}, "metadata is a mapping"),
        ({"metadata": {1: 2}}, "metadata"),
        ({"on_event": "print"}, "on_event"),
        ({"engine": "mine"}, "engine"),
    ],
)
async def test_bad_settings_are_errors_that_name_the_field_and_its_range(settings, message):
    with pytest.raises(ValueError, match=message):
        Pool(**settings)
    if settings.keys() <= {"retry", "timeout", "fallbacks", "metadata"}:
        with pytest.raises(ValueError, match=message):
            await Pool().submit(Work(), **settings)


async def test_a_bad_priority_is_refused():
    for priority in (1.5, True, "high"):
        with pytest.raises(ValueError, match="priority is a whole number"):
            await Pool().submit(Work(), priority=priority)


async def test_a_pool_lives_on_one_loop():
    pool = Pool()
    await pool.submit_nowait(lambda: 1)

    async def elsewhere():
        with pytest.raises(RuntimeError, match="another event loop"):
            await pool.submit(lambda: 2)

    await asyncio.to_thread(asyncio.run, elsewhere())


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon", True])
async def test_a_drain_says_what_is_wrong_with_its_timeout(timeout):
    async with Pool(1) as pool:
        with pytest.raises(SettingsError, match="drain: timeout is a number of seconds of at least 0, not"):
            await pool.drain(timeout)
        with pytest.raises(SettingsError, match="tag is a text, not 5"):
            await pool.submit(lambda: 1, tag=5)
        await pool.submit(lambda: 1)
