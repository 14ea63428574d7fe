"""retry: again, after a while, where that may help; and while it waits it holds nothing."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from streamer import Status, parallel, retry, sequence, timeout
from streamer.errors import RETRIED, CallFailed, Category
from streamer.operand import as_single
from streamer.operators.deadline import deadline
from streamer.providers.registry import Registry
from streamer.tasks import Retry
from tests.operators.doubles import (
    Runner,
    Script,
    Stubborn,
    Work,
    cancelled_after,
    cancels_itself,
    now,
    others,
    passing,
    result_of,
)


async def attempts_of(script: Script, *args, **settings) -> list[float]:
    """The waits between the attempts, when all fail."""
    with pytest.raises(Exception):  # noqa: B017 - whatever the script raises
        await retry(*args, **settings)(script)
    return script.waits


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_max_attempts_includes_the_first(attempts):
    script = Script(passing())
    await attempts_of(script, attempts)
    assert len(script.began) == attempts


async def test_a_success_ends_it():
    script = Script(passing(), "second", "third")
    assert await retry(5)(script) == "second"
    assert now() == 1


async def test_the_last_failure_is_raised_as_it_is():
    last = passing("last")
    with pytest.raises(CallFailed) as caught:
        await retry(2)(Script(passing("first"), last))
    assert caught.value is last


@pytest.mark.parametrize("backoff", ["fixed", "linear", "exponential", "decorrelated"])
async def test_the_first_delay_is_the_initial_delay(backoff):
    assert await attempts_of(Script(passing()), 2, initial_delay=3, backoff=backoff) == [3]


@pytest.mark.parametrize("backoff", ["fixed", "linear", "exponential", "jitter", "decorrelated"])
async def test_every_delay_is_capped(backoff):
    waits = await attempts_of(Script(passing()), 6, initial_delay=5, max_delay=7, backoff=backoff)
    assert all(wait <= 7 + 1e-9 for wait in waits)
    waits = await attempts_of(Script(passing()), 6, initial_delay=50, max_delay=7, backoff=backoff)
    assert waits == pytest.approx([7] * 5)


async def test_the_delays_are_of_the_strategy():
    assert await attempts_of(Script(passing()), 5, initial_delay=1, multiplier=3) == [1, 3, 9, 27]


@pytest.mark.parametrize("backoff", ["jitter", "decorrelated"])
async def test_seeded_it_waits_the_same_each_time(backoff):
    def waits(seed):
        return attempts_of(Script(passing()), 6, backoff=backoff, random=Random(seed))

    first, same, other = await waits(1), await waits(1), await waits(2)
    assert first == pytest.approx(same)
    assert first != pytest.approx(other)


class TestRetryAfter:
    async def test_longer_than_the_cap_is_obeyed(self):
        script = Script(passing(retry_after=300), "answer")
        assert await retry(2, initial_delay=1, max_delay=5)(script) == "answer"
        assert script.waits == [300]

    async def test_shorter_than_the_back_off_does_not_shorten_it(self):
        script = Script(passing(retry_after=0.5), "answer")
        await retry(2, initial_delay=4)(script)
        assert script.waits == [4]

    async def test_is_for_the_next_attempt_only(self):
        script = Script(passing(retry_after=30), passing(), "answer")
        await retry(3, initial_delay=1, backoff="fixed")(script)
        assert script.waits == [30, 1]


class TestWhat:
    """is worth another attempt."""

    @pytest.mark.parametrize("category", sorted(Category))
    async def test_by_default_what_passes_by_itself(self, category):
        script = Script(CallFailed(category, "no"))
        await attempts_of(script, 3)
        assert len(script.began) == (3 if category in RETRIED else 1)

    @pytest.mark.parametrize(
        ("error", "again"),
        [
            (ConnectionResetError(), True),
            (TimeoutError(), True),
            (ValueError(), False),
            (KeyError("sse"), False),
            (AssertionError("overloaded, 429, timeout"), False),
        ],
    )
    async def test_of_pythons_errors_those_of_network_and_time(self, error, again):
        """The words of a message count for nothing."""
        script = Script(error)
        await attempts_of(script, 2)
        assert len(script.began) == 1 + again

    @pytest.mark.parametrize(
        ("retry_on", "again"),
        [
            (["invalid_request"], True),
            ([Category.NETWORK], False),
            ([CallFailed], True),
            ([KeyError, "invalid_request"], True),
            ([KeyError], False),
            (CallFailed, True),
            (KeyError, False),
            ([], False),
            (lambda error: error.category == "invalid_request", True),
            (lambda error: False, False),
        ],
    )
    async def test_or_what_one_says(self, retry_on, again):
        script = Script(CallFailed("invalid_request", "no"))
        await attempts_of(script, 2, retry_on=retry_on)
        assert len(script.began) == 1 + again

    async def test_a_policy_may_say_it(self):
        script = Script(CallFailed("quota", "no"))
        await attempts_of(script, Retry(max_attempts=2, retry_on=(Category.QUOTA,)))
        assert len(script.began) == 2

    async def test_a_predicate_that_raises_is_the_failure(self):
        def broken(error):
            raise RuntimeError("predicate")

        with pytest.raises(RuntimeError, match="predicate"):
            await retry(retry_on=broken)(Script(passing()))

    async def test_an_async_predicate_is_awaited(self):
        async def wanted(error):
            return error.category == "overloaded"

        script = Script(passing(), CallFailed("quota", "no"))
        await attempts_of(script, 5, retry_on=wanted)
        assert len(script.began) == 2

    async def test_subclasses_of_an_exception_type_count(self):
        script = Script(ConnectionResetError())
        await attempts_of(script, 2, retry_on=OSError)
        assert len(script.began) == 2

    @pytest.mark.parametrize(
        ("retry_on", "named"),
        [
            (["bad_luck"], "bad_luck"),
            ("bad_luck", "bad_luck"),
            ([None], "None"),
            (5, "retry_on"),
            (int, "int"),
            ([KeyboardInterrupt], "KeyboardInterrupt"),
            (asyncio.CancelledError, "CancelledError"),
        ],
    )
    def test_what_is_no_such_thing_is_refused(self, retry_on, named):
        with pytest.raises(ValueError, match=named):
            retry(retry_on=retry_on)

    def test_it_is_said_once(self):
        with pytest.raises(ValueError, match="twice"):
            retry(Retry(retry_on=(Category.QUOTA,)), retry_on=["quota"])


class TestRetryIfResult:
    async def test_asks_again_by_the_value(self):
        script = Script("", "", "answer")
        assert await retry(5, retry_if_result=lambda value: not value)(script) == "answer"
        assert len(script.began) == 3

    async def test_at_the_end_the_last_value_is_returned(self):
        script = Script("a", "b")
        assert await retry(2, retry_if_result=lambda value: True)(script) == "b"

    async def test_counts_the_same_attempts_as_failures_do(self):
        script = Script(passing(), "", passing(), "answer")
        with pytest.raises(CallFailed):
            await retry(3, retry_if_result=lambda value: not value)(script)

    async def test_an_async_predicate_is_awaited(self):
        async def refused(value):
            return not value

        assert await retry(5, retry_if_result=refused)(Script("", "answer")) == "answer"

    async def test_a_predicate_that_raises_is_the_failure_and_not_retried(self):
        """Though its error would be, had a call raised it."""
        script, told = Script("a", "b"), []

        def broken(value):
            raise ConnectionError("predicate")

        with pytest.raises(ConnectionError, match="predicate"):
            await retry(5, retry_if_result=broken, on_failure=told.append)(script)
        assert (len(script.began), len(told)) == (1, 1)


class TestHooks:
    """hear of every back-off, and once of giving up."""

    async def test_on_retry_is_told_the_attempt_its_error_and_the_delay(self):
        told, error = [], passing()
        plan = retry(
            4,
            initial_delay=2,
            retry_if_result=lambda value: not value,
            on_retry=lambda *args: told.append((*args, now())),
        )
        assert await plan(Script(error, "", "answer")) == "answer"
        assert told == [(1, error, 2, 0), (2, None, 4, 2)]

    @pytest.mark.parametrize(
        ("lines", "settings", "failures"),
        [
            (["answer"], {}, 0),
            ([passing(), "answer"], {}, 0),
            ([passing()], {}, 1),
            ([ValueError()], {}, 1),
            (["", ""], {"retry_if_result": lambda value: True}, 0),
        ],
    )
    async def test_on_failure_is_told_once_when_it_is_given_up(self, lines, settings, failures):
        told = []
        await asyncio.gather(
            retry(2, on_failure=told.append, **settings)(Script(*lines)).started(), return_exceptions=True
        )
        assert told == lines[:1] * failures

    async def test_on_failure_is_told_when_the_deadline_comes_first(self):
        told = []
        plan = deadline(datetime.now(UTC) + timedelta(seconds=5))(
            retry(2, initial_delay=60, on_failure=told.append)(Script(passing()))
        )
        result = await result_of(plan)
        assert result.status is Status.TIMED_OUT
        assert [error.category for error in told] == [Category.DEADLINE]

    async def test_cancellation_from_outside_is_no_failure(self):
        told = []
        await cancelled_after(0.5, retry(3, on_failure=told.append)(Script(passing())))
        assert told == []

    async def test_async_ones_are_awaited(self):
        told = []

        async def hook(*args):
            await asyncio.sleep(1)
            told.append(now())

        with pytest.raises(CallFailed):
            await retry(2, initial_delay=2, on_retry=hook, on_failure=hook)(Script(passing()))
        assert told == [1, 4]

    @pytest.mark.parametrize("hook", [lambda *args: 1 / 0, lambda *args: cancels_itself()])
    async def test_what_they_raise_changes_nothing(self, hook):
        reported, last = [], passing("last")
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        with pytest.raises(CallFailed) as caught:
            await retry(2, on_retry=hook, on_failure=hook)(Script(passing(), last))
        assert caught.value is last
        assert len(reported) == 2


class TestCancellation:
    """is never retried."""

    async def test_from_outside_during_an_attempt(self):
        work = Work(9)
        await cancelled_after(1, retry(5, retry_on=lambda error: True)(work))
        await asyncio.sleep(100)
        assert (len(work.began), work.cancelled) == (1, 1)
        assert not others()

    async def test_from_outside_during_a_back_off(self):
        script = Script(passing())
        await cancelled_after(0.5, retry(5)(script))
        await asyncio.sleep(100)
        assert len(script.began) == 1

    @pytest.mark.parametrize("settings", [{}, {"retry_on": Exception}, {"retry_on": lambda error: True}])
    async def test_nor_what_user_code_raises(self, settings):
        calls = []

        def work():
            calls.append(1)
            cancels_itself()

        with pytest.raises(CallFailed) as caught:
            await retry(3, **settings)(work)
        assert caught.value.category is Category.CANCELLED
        assert len(calls) == 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"initial_delay": -1}, "initial_delay"),
        ({"initial_delay": float("nan")}, "initial_delay"),
        ({"max_delay": -1}, "max_delay"),
        ({"multiplier": 0.5}, "multiplier"),
        ({"jitter": 2}, "jitter"),
        ({"backoff": "random"}, "backoff"),
        ({"max_retries": 3}, "max_retries"),
        ({"max_attempts": True}, "max_attempts"),
        ({"max_delay": float("inf")}, "max_delay"),
        ({"retry_if_result": 5}, "retry_if_result"),
        ({"on_retry": "print"}, "on_retry"),
        ({"on_failure": True}, "on_failure"),
        ({"random": 7}, "random"),
    ],
)
def test_settings_are_judged_when_made(settings, named):
    with pytest.raises(ValueError, match=named):
        retry(**settings)


async def test_every_attempt_is_told():
    events = []
    script = Script(passing(), passing(), "answer")
    result = await result_of(retry(3, initial_delay=2)(script), listener=events.append)
    waits = [(event.attempt, event.delay, event.category) for event in events[:2]]
    assert waits == [(1, 2, Category.OVERLOADED), (2, 4, Category.OVERLOADED)]
    assert result.value == "answer"


async def test_a_listener_that_raises_changes_nothing():
    loop = asyncio.get_running_loop()
    told = []
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    def listener(event):
        raise RuntimeError("listener")

    result = await result_of(retry(2)(Script(passing(), "answer")), listener=listener)
    assert result.value == "answer"
    assert told


class TestRunSlot:
    """A back-off lends the run slot, and the next call begins with it in hand."""

    async def test_others_run_meanwhile(self):
        runner = Runner(1)
        waits = runner.start(lambda: retry(2, initial_delay=10)(Script(passing(), "late")))
        quick = [runner.start(lambda: Work(1, "quick")) for _ in range(3)]
        results = await asyncio.gather(*quick)
        assert ([result.value for result in results], now()) == (["quick"] * 3, 3)
        assert (await waits).value == "late"
        assert now() == 10
        assert (runner.slots.peak, runner.slots.active) == (1, 0)

    async def test_the_next_call_waits_for_the_slot(self):
        runner = Runner(1)
        script = Script(passing(), "late")
        waits = runner.start(lambda: retry(2, initial_delay=2)(script))
        await asyncio.sleep(0.5)
        long = runner.start(lambda: Work(10, "long"))
        assert (await waits).value == "late"
        assert script.began == [0, 10.5]
        assert long.done()
        assert (runner.slots.peak, runner.slots.active) == (1, 0)

    async def test_it_is_not_lent_while_a_sibling_works(self):
        runner = Runner(1)
        sibling = Work(5, "sibling")
        plan = runner.start(lambda: parallel(retry(2, initial_delay=2)(Script(passing(), "late")), sibling))
        await asyncio.sleep(1)
        other = Work(1, "other")
        waits = runner.start(lambda: other)
        assert (await plan).value == ["late", "sibling"]
        assert now() == 5
        await waits
        assert other.began == [5]

    async def test_it_is_lent_when_the_last_sibling_has_ended(self):
        runner = Runner(1)
        plan = runner.start(
            lambda: parallel(retry(2, initial_delay=9)(Script(passing(), "late")), Work(3, "sibling"))
        )
        await asyncio.sleep(1)
        other = Work(1, "other")
        await runner.start(lambda: other)
        assert other.began == [3]
        assert (await plan).value == ["late", "sibling"]
        assert now() == 9

    @pytest.mark.parametrize("children", [2, 3, 7])
    @pytest.mark.parametrize("spread", [0, 0.25])
    async def test_several_children_share_one_slot(self, children, spread):
        """All sleep, the slot is taken by another, and all want it back; none is left waiting for it."""
        runner = Runner(1)
        scripts = [Script(passing(), index) for index in range(children)]
        plan = runner.start(
            lambda: parallel(*(retry(2, initial_delay=2 + i * spread)(s) for i, s in enumerate(scripts)))
        )
        await asyncio.sleep(1)
        other = runner.start(lambda: Work(5, "other"))
        result = await asyncio.wait_for(plan, 100)
        assert result.value == list(range(children))
        assert all(script.began[1] >= 6 for script in scripts)
        await other
        assert (runner.slots.peak, runner.slots.active) == (1, 0)

    async def test_a_child_that_stops_waiting_for_the_slot_does_not_stop_the_others(self):
        runner = Runner(1)
        first = timeout(3)(as_single(retry(2, initial_delay=2)(Script(passing(), "first"))).map(str))
        second = retry(2, initial_delay=2.5)(Script(passing(), "second"))
        plan = runner.start(lambda: parallel(first, second, require="any"))
        await asyncio.sleep(1)
        await runner.start(lambda: Work(5))
        result = await asyncio.wait_for(plan, 100)
        assert result.value == [None, "second"]
        assert runner.slots.active == 0

    @pytest.mark.parametrize("ending", ["last attempt", "timeout", "cancelled"])
    async def test_it_is_given_back_once_however_it_ends(self, ending):
        runner = Runner(1)
        if ending == "last attempt":
            result = await runner.run(lambda: retry(3)(Script(passing())))
            assert result.status is Status.FAILED
        elif ending == "timeout":
            result = await runner.run(lambda: timeout(0.5)(as_single(retry(3)(Script(passing()))).map(str)))
            assert result.status is Status.TIMED_OUT
        else:
            await cancelled_after(0.5, runner.run(lambda: retry(3)(Script(passing()))))
        assert runner.slots.active == 0
        results = await asyncio.gather(*(runner.run(lambda: Work(1, "next")) for _ in range(2)))
        assert [result.value for result in results] == ["next"] * 2
        assert runner.slots.peak == 1

    async def test_it_is_not_lent_while_a_stray_still_runs(self):
        """What the timeout could not stop still works for this task."""
        runner = Runner(1)
        stubborn = Stubborn()
        model = Registry().declare(lambda request: stubborn(), {"name": "model"})
        other = Work(1)
        plan = runner.start(lambda: model("x").timeout(1).retry(2, initial_delay=50, backoff="fixed"))
        await asyncio.sleep(10)
        waits = runner.start(lambda: other)
        await asyncio.sleep(10)
        assert other.began == []
        stubborn.release.set()
        await asyncio.sleep(1)
        assert other.began == [20]
        await waits
        assert (await plan).value == "late"
        assert runner.slots.peak == 1

    async def test_a_function_that_awaits_its_retries_lends_it_too(self):
        runner = Runner(1)

        async def asks():
            return await retry(2, initial_delay=10)(Script(passing(), "late"))

        plan = runner.start(lambda: as_single(asks))
        await asyncio.sleep(1)
        await runner.run(lambda: Work(1))
        assert now() == 2
        assert (await plan).value == "late"

    async def test_a_step_after_a_lent_one_begins_with_the_slot(self):
        runner = Runner(1)
        after = Work(1, "after")
        gives_up = timeout(1)(as_single(retry(2, initial_delay=9)(Script(passing()))).map(str))
        plan = runner.start(lambda: sequence(gives_up, after, on_error="continue"))
        await asyncio.sleep(0.5)
        await runner.run(lambda: Work(5))
        await plan
        assert after.began == [5.5]
        assert (runner.slots.peak, runner.slots.active) == (1, 0)


async def test_a_back_off_holds_no_slot_of_the_provider():
    lines = [passing(retry_after=10), "quick", "late"]

    def answer(request):
        line = lines.pop(0)
        if isinstance(line, Exception):
            raise line
        return line

    target = Registry().declare(answer, {"name": "model", "concurrency": 1})
    late = asyncio.ensure_future(target("x").retry(2).started())
    await asyncio.sleep(1)
    assert target.slots.active == 0
    assert await target("y") == "quick"
    assert await late == "late"
    assert now() == 10
