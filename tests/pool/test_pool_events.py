"""Whoever listens hears of everything."""

import asyncio

from streamer import Engine, Pool
from streamer.events import AttemptEnded, AttemptStarted, RetryScheduled, TaskEnded
from streamer.providers.registry import Registry
from streamer.tasks import Retry
from tests.operators.doubles import Script, Work, others, passing


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
