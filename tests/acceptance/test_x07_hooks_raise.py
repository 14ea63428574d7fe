"""X07: whatever a hook raises, the outcome is the same, fail_fast works on, and the error is reported once each time."""

import asyncio

import pytest

from streamer import Engine, Pool, map, parallel, retry, sequence
from streamer.errors import ChildrenFailed
from streamer.events import TaskEnded
from streamer.operand import as_single
from tests.operators.doubles import Script, Work, now, others, passing, result_of

pytestmark = pytest.mark.virtual_time


class Hook:
    """Counts how often it is called, and raises every time."""

    def __init__(self, raising: BaseException, slow: bool) -> None:
        self.raising, self.slow = raising, slow
        self.calls = 0

    def __call__(self, *_):
        self.calls += 1
        if not self.slow:
            raise self.raising
        return self.later()

    async def later(self):
        await asyncio.sleep(0)
        raise self.raising


@pytest.fixture
def reported():
    """What the loop's exception handler is told, once the test has a loop."""
    told = []

    def listen():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        return told

    return listen


HOOKS = pytest.mark.parametrize("slow", [False, True], ids=["sync", "async"])
RAISED = pytest.mark.parametrize(
    "raised",
    [RuntimeError("a hook's"), asyncio.CancelledError("a hook's"), SystemExit("a hook's")],
    ids=lambda e: type(e).__name__,
)
COMBINED = {
    "parallel": lambda works, **given: parallel(*works, **given),
    "map": lambda works, **given: map(lambda work: work(), works, **given),
    "sequence": lambda works, **given: sequence(*works, **given),
}
EACH = pytest.mark.parametrize("combine", COMBINED.values(), ids=COMBINED)
NAMES = ["on_progress", "on_complete", "on_error"]


@HOOKS
@RAISED
@EACH
@pytest.mark.parametrize("name", NAMES)
async def test_x07_a_success_stays_one_and_a_failure_is_counted_once(combine, name, raised, slow, reported):
    told, hook = reported(), Hook(raised, slow)
    error = ValueError("the task's")

    async def outcome(**given):
        result = await result_of(combine([Work(1, "a"), Work(1, error=error), Work(1, "c")], **given))
        return [child.status for child in result.children], result.value, result.error

    hooked = await outcome(fail_fast=False, **{name: hook})
    assert hooked == await outcome(fail_fast=False)
    assert hooked[:2] == (["succeeded", "failed", "succeeded"], ["a", None, "c"])
    assert hook.calls == len(told) == {"on_progress": 3, "on_complete": 2, "on_error": 1}[name]
    assert set(told) == {raised}


@HOOKS
@RAISED
@EACH
async def test_x07_fail_fast_still_stops_the_others(combine, raised, slow, reported):
    reported()
    works = [Work(1, error=ValueError("b")), Work(60), Work(60)]
    with pytest.raises(ChildrenFailed):
        await combine(works, fail_fast=True, **dict.fromkeys(NAMES, Hook(raised, slow)))
    assert now() == 1
    assert [work.alive for work in works] == [0, 0, 0]


@HOOKS
@RAISED
async def test_x07_a_retry_goes_on(raised, slow, reported):
    told, again, given_up = reported(), Hook(raised, slow), Hook(raised, slow)
    hooks = {"on_retry": again, "on_failure": given_up}
    assert await retry(3, initial_delay=1, **hooks)(Script(passing(), passing(), "third")) == "third"
    assert (again.calls, given_up.calls, len(told)) == (2, 0, 2)
    error = passing()
    with pytest.raises(type(error)) as caught:
        await retry(2, initial_delay=1, **hooks)(Script(error))
    assert caught.value is error
    assert (again.calls, given_up.calls, len(told)) == (3, 1, 4)


async def test_x07_a_listener_of_an_engine(reported):
    told, hook = reported(), Hook(RuntimeError("a hook's"), False)
    result = await Engine(as_single, listener=hook).run(retry(2, initial_delay=1)(Script(passing(), "ok")))
    assert (result.status, result.value) == ("succeeded", "ok")
    assert hook.calls == len(told) > 0


@HOOKS
async def test_x07_a_listener_of_a_pool_and_who_observes_it(slow, reported):
    told, hook = reported(), Hook(RuntimeError("a hook's"), slow)
    seen = []

    def observe(event):
        seen.append(event)
        raise RuntimeError("an observer's")

    async with Pool(2, on_event=hook) as pool:
        pool.events.subscribe(observe)
        results = await asyncio.gather(*[await pool.submit(Work(1, n)) for n in range(4)])
    assert [result.value for result in results] == [0, 1, 2, 3]
    assert sum(isinstance(event, TaskEnded) for event in seen) == 4
    assert (pool.stats.succeeded, pool.stats.failed) == (4, 0)
    assert len(told) == hook.calls + len(seen)


async def test_x07_an_async_hook_is_awaited_and_leaves_nothing():
    heard = []

    async def hook(done, total):
        await asyncio.sleep(1)
        heard.append((done, total))

    await parallel(Work(1), Work(1), on_progress=hook)
    assert heard == [(1, 2), (2, 2)]
    assert not others()
