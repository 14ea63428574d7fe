"""X13: how often and when something is tried again: by the formulas, below the cap, from a seed."""

import asyncio
from random import Random

import pytest

from streamer import Engine, parallel, retry
from streamer.errors import CallFailed, Category
from streamer.operand import as_single
from tests.acceptance.topology import call
from tests.operators.doubles import Script, Work, cancelled_after, now, passing

pytestmark = pytest.mark.virtual_time

SEED = 20
SHAPES = ["fixed", "linear", "exponential", "jitter", "decorrelated"]


async def waits(**settings):
    """The waits between six attempts that all fail, as they were observed."""
    script = Script(passing())
    with pytest.raises(CallFailed):
        await retry(6, random=Random(SEED), **settings)(script)
    assert len(script.began) == 6
    return script.waits


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("fixed", [0.5] * 5), ("linear", [0.5, 1, 1.5, 2, 2.5]), ("exponential", [0.5, 1, 2, 4, 8])],
)
async def test_x13_the_formulas(shape, expected):
    """In virtual time, so exactly."""
    assert await waits(backoff=shape, initial_delay=0.5) == pytest.approx(expected)


async def test_x13_jitter_is_a_share_of_the_exponential():
    observed = await waits(backoff="jitter", initial_delay=0.5, jitter=0.2)
    random = Random(SEED)
    assert observed == pytest.approx([0.5 * 2**n * (1 + random.uniform(-0.2, 0.2)) for n in range(5)])


async def test_x13_decorrelated_is_between_the_first_and_three_times_the_last():
    observed = await waits(backoff="decorrelated", initial_delay=0.5)
    random, expected = Random(SEED), [0.5]
    for _ in range(4):
        expected.append(random.uniform(0.5, 3 * expected[-1]))
    assert observed == pytest.approx(expected)


@pytest.mark.parametrize("shape", SHAPES)
async def test_x13_the_first_wait_is_the_one_that_was_set(shape):
    """Not twice of it."""
    assert (await waits(backoff=shape, initial_delay=0.1, jitter=0))[0] == pytest.approx(0.1)


@pytest.mark.parametrize("shape", SHAPES)
async def test_x13_no_wait_is_above_the_cap(shape):
    """Of any shape, the fixed one included."""
    observed = await waits(backoff=shape, initial_delay=2, max_delay=1.5)
    assert max(observed) <= 1.5 + 1e-9
    if shape != "jitter":
        assert observed == pytest.approx([1.5] * 5)


@pytest.mark.parametrize("shape", ["jitter", "decorrelated"])
async def test_x13_the_same_seed_is_the_same_waits(shape):
    assert await waits(backoff=shape) == pytest.approx(await waits(backoff=shape))


@pytest.mark.parametrize("attempts", [1, 2, 3])
async def test_x13_max_attempts_includes_the_first(attempts):
    error = passing()
    script = Script(error)
    with pytest.raises(CallFailed) as caught:
        await retry(attempts, initial_delay=0.1)(script)
    assert len(script.began) == attempts
    assert caught.value is error, "the error of the last attempt, as it was raised"


@pytest.mark.parametrize("attempts", [0, -1, True, 1.5, float("nan"), "3"])
def test_x13_none_at_all_is_refused_when_it_is_said(attempts):
    with pytest.raises(ValueError, match="max_attempts"):
        retry(attempts)


@pytest.mark.parametrize(
    "error",
    [
        TypeError("a bug"),
        KeyError("a bug"),
        ValueError("a bug"),
        AssertionError("passed"),
        CallFailed("quota", ""),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_x13_what_does_not_pass_by_itself_is_not_tried_again(error):
    script = Script(error)
    with pytest.raises(type(error)):
        await retry(3)(script)
    assert len(script.began) == 1


async def test_x13_only_what_a_predicate_or_a_list_names():
    for retry_on in (lambda error: "twice" in str(error), (KeyError,), {"quota", KeyError}):
        script = Script(KeyError("twice"), KeyError("twice"), "ok")
        assert await retry(3, retry_on=retry_on, initial_delay=0.1)(script) == "ok"
        other = Script(RuntimeError("once"))
        with pytest.raises(RuntimeError):
            await retry(3, retry_on=retry_on)(other)
        assert len(other.began) == 1


async def test_x13_subclasses_count_as_what_they_are():
    script = Script(ConnectionResetError(), "ok")
    assert await retry(2, retry_on=(OSError,), initial_delay=0.1)(script) == "ok"


async def test_x13_a_predicate_that_raises_is_the_failure():
    def broken(error):
        raise RuntimeError("the predicate's")

    script = Script(passing())
    with pytest.raises(RuntimeError, match="the predicate's"):
        await retry(3, retry_on=broken)(script)
    assert len(script.began) == 1


async def test_x13_by_the_result_and_the_last_one_is_returned():
    script = Script("", "still too short", "", "")
    hooks = []
    value = await retry(
        3,
        initial_delay=0.1,
        retry_if_result=lambda value: len(value) < 100,
        on_retry=lambda *said: hooks.append(said),
        on_failure=lambda *said: hooks.append("failed"),
    )(script)
    assert (value, len(script.began)) == ("", 3)
    assert hooks == [(1, None, 0.1), (2, None, 0.2)], "a value was refused, nothing was raised"


async def test_x13_hooks_are_told_the_attempt_the_error_and_the_wait():
    errors, told, given_up = [passing("1"), passing("2"), passing("3")], [], []
    with pytest.raises(CallFailed):
        await retry(
            3,
            initial_delay=1,
            on_retry=lambda *said: told.append(said),
            on_failure=lambda *said: given_up.append(said),
        )(Script(*errors))
    assert told == [(1, errors[0], 1), (2, errors[1], 2)]
    assert given_up == [(errors[2],)]


async def test_x13_an_async_callable_object_is_really_tried_again():
    class Flaky:
        calls = 0

        async def __call__(self):
            self.calls += 1
            await asyncio.sleep(0)
            if self.calls < 3:
                raise passing()
            return self.calls

    assert await retry(3, initial_delay=0.1)(Flaky()) == 3


async def test_x13_a_sync_function_is_too_and_the_loop_does_not_sleep_with_it():
    calls, ticks = [], []

    def flaky():
        calls.append(now())
        if len(calls) < 3:
            raise passing()
        return "ok"

    async def tick():
        while True:
            ticks.append(now())
            await asyncio.sleep(0.5)

    ticking = asyncio.ensure_future(tick())
    assert await retry(3, initial_delay=1)(flaky) == "ok"
    ticking.cancel()
    assert calls == [0, 1, 3]
    assert len(ticks) >= 6


async def test_x13_cancellation_is_never_tried_again():
    work = Work(60)
    await cancelled_after(1, retry(5, retry_on=lambda error: True)(work))
    await asyncio.sleep(100)
    assert len(work.began) == 1
    itself = Script(asyncio.CancelledError())
    with pytest.raises(CallFailed) as caught:
        await retry(5)(itself)
    assert (caught.value.category, len(itself.began)) == (Category.CANCELLED, 1)


async def test_x13_a_budget_of_the_whole_task_bounds_all_of_them_together():
    scripts = [Script(passing()) for _ in range(4)]

    def plan(_):
        return parallel(*(retry(5, initial_delay=1)(as_single(script)) for script in scripts))

    result = await Engine(plan, retry_budget=3).run(None)
    assert result.status == "failed"
    assert sum(len(script.began) for script in scripts) == 4 + 3


RETRY = {"max_attempts": 3, "initial_delay": 0.01}
WIRE = {
    "x13-saved": call("flaky", "x13-saved", 2, retry=RETRY),
    "x13-given-up": call("flaky", "x13-given-up", 3, retry=RETRY),
    "x13-permanent": call("fail", retry=RETRY),
    "x13-once": call("flaky", "x13-once", 1),
}


async def test_x13_on_the_wire(answer):
    saved = await answer("x13-saved")
    assert (saved["status"], saved["value"]) == ("succeeded", 3)
    assert [attempt["id"] for attempt in saved["attempts"]] == [f"x13-saved#{n}" for n in (1, 2, 3)]
    assert [attempt["outcome"] for attempt in saved["attempts"]] == ["failed", "failed", "succeeded"]
    given_up = await answer("x13-given-up")
    assert (given_up["status"], given_up["error"]["category"]) == ("failed", "overloaded")
    assert len(given_up["attempts"]) == 3
    assert len((await answer("x13-permanent"))["attempts"]) == 1
    assert len((await answer("x13-once"))["attempts"]) == 1
