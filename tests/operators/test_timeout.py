"""timeout: on a call the attempt's clock, on anything else the bound of the whole run."""

import asyncio
import threading

import pytest

from streamer import Status, parallel, race, retry, sequence, timeout
from streamer.errors import Category, TimedOut
from streamer.operand import as_single
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry, Target
from tests.operators.doubles import (
    Runner,
    Stubborn,
    Work,
    cancelled_after,
    now,
    others,
    passing,
    result_of,
)


def asks(work, **settings) -> Target:
    """A provider whose calls are that work."""
    return Registry().declare(lambda request: work(), {"name": "model", **settings})


async def times_out(single) -> TimedOut:
    with pytest.raises(TimedOut) as caught:
        await single
    assert caught.value.category is Category.TIMEOUT
    return caught.value


async def test_it_ends_what_takes_longer():
    work = Work(9)
    await times_out(timeout(2)(work))
    assert (now(), work.cancelled) == (2, 1)
    assert not others()


async def test_it_leaves_alone_what_is_in_time():
    assert await timeout(2)(Work(1, "answer")) == "answer"
    assert not others()


async def test_a_failure_in_time_is_that_failure():
    error = passing()
    with pytest.raises(type(error)) as caught:
        await timeout(2)(Work(1, error=error))
    assert caught.value is error


async def test_a_timeout_error_of_user_code_is_not_its_own():
    with pytest.raises(TimeoutError) as caught:
        await asks(Work(1, error=TimeoutError("mine")))("x").timeout(5)
    assert not isinstance(caught.value, TimedOut)


async def test_what_it_ends_is_awaited():
    work = Work(9, cleanup=0.5)
    await times_out(timeout(2)(work))
    assert (now(), work.alive) == (2.5, 0)


@pytest.mark.parametrize("kind", ["call", "callable"])
async def test_but_not_longer_than_the_grace(kind):
    stubborn = Stubborn()
    await times_out(timeout(2)(asks(stubborn)("x") if kind == "call" else stubborn))
    assert (now(), stubborn.alive) == (3, 1)
    stubborn.release.set()


async def test_an_answer_that_comes_in_the_grace_is_too_late():
    async def answers_when_cancelled():
        try:
            await asyncio.sleep(9)
        except asyncio.CancelledError:
            return "late"

    await times_out(timeout(2)(answers_when_cancelled))


@pytest.mark.parametrize("ends_when_cancelled", [False, True])
class TestOnACall:
    """it is the attempt's own clock."""

    def provider(self, ends_when_cancelled, work, **settings) -> Target:
        class Model:
            def answer(self, request):
                return work()

        Model.ends_when_cancelled = ends_when_cancelled
        return Registry().declare(Model(), {"name": "model", **settings})

    async def test_the_wait_for_a_slot_is_excluded(self, ends_when_cancelled):
        target = self.provider(ends_when_cancelled, Work(3, "answer"), concurrency=1)
        answers = await asyncio.gather(*(target("x").timeout(4) for _ in range(3)))
        assert (answers, now()) == (["answer"] * 3, 9)

    async def test_every_attempt_has_its_own(self, ends_when_cancelled):
        work = Work(9)
        target = self.provider(ends_when_cancelled, work)
        await times_out(target("x").timeout(2).retry(3, initial_delay=1, backoff="fixed"))
        assert work.began == [0, 3, 6]
        assert (work.cancelled, now()) == (3, 8)

    async def test_the_shorter_of_two_counts(self, ends_when_cancelled):
        await times_out(self.provider(ends_when_cancelled, Work(9))("x").timeout(5).timeout(2).timeout(4))
        assert now() == 2

    async def test_the_error_names_the_provider(self, ends_when_cancelled):
        error = await times_out(self.provider(ends_when_cancelled, Work(9))("x").timeout(2))
        assert error.provider == "model"

    async def test_the_attempt_is_recorded_as_timed_out(self, ends_when_cancelled):
        target = self.provider(ends_when_cancelled, Work(9))
        result = await result_of(target("x").timeout(2))
        assert result.status is Status.TIMED_OUT
        assert [attempt.outcome for attempt in result.attempts] == [Status.TIMED_OUT]


class TestOnAnythingElse:
    """it bounds the whole run."""

    async def test_retries_and_their_waits_included(self):
        work = Work(1, error=passing())
        again = retry(9, initial_delay=1, backoff="fixed")(asks(work)("x"))
        await times_out(timeout(4.5)(again))
        assert (work.began, now()) == ([0, 2, 4], 4.5)

    async def test_the_wait_for_a_slot_included(self):
        target = asks(Work(3), concurrency=1)
        first = asyncio.ensure_future(target("x").started())
        await asyncio.sleep(0)
        await times_out(timeout(2)(target("x").map(str)))
        assert now() == 2
        await first
        assert target.slots.active == 0

    @pytest.mark.parametrize("combine", [parallel, race, sequence])
    async def test_all_children_of_a_combinator(self, combine):
        works = [Work(9, cleanup=0.25), Work(9, cleanup=0.5)]
        await times_out(timeout(2)(combine(*works)))
        assert [work.alive for work in works] == [0, 0]
        assert not others()


async def test_cancelled_from_outside_it_cancels_what_it_runs():
    work = Work(9, cleanup=0.5)
    await cancelled_after(1, timeout(5)(work))
    assert (work.cancelled, work.alive) == (1, 0)
    assert not others()


class Stream:
    """Says a word after each of these seconds, and how it was left."""

    ends_when_cancelled = True

    def __init__(self, *seconds, end="stop"):
        self.seconds, self.asked, self.closed, self.end = seconds, [], 0, end

    async def answer(self, request):
        self.asked.append(now())
        try:
            for pause in self.seconds:
                await asyncio.sleep(pause)
                yield "word "
        finally:
            self.closed += 1

    def model(self, **settings) -> Target:
        return Registry().declare(self, {"name": "model", **settings})


class TestTheClocksOfACall:
    """Each ends the attempt, names itself, and is one like the others for a retry."""

    async def test_the_wait_for_a_slot(self):
        work = Work(5, "answer")
        target = asks(work, concurrency=1)
        first = asyncio.ensure_future(target("x").started())
        await asyncio.sleep(0)
        error = await times_out(target("x").timeout(queue=2))
        assert (str(error), error.provider, now()) == ("No slot of model within 2 s (queue).", "model", 2)
        assert await target("x").timeout(1, queue=4).catch(lambda: "late") == "late"
        assert now() == 6
        await first
        assert (target.slots.active, target.slots.waiters.alive) == (0, 0)

    async def test_the_wait_of_a_function_for_its_slot(self):
        async def slow():
            await asyncio.sleep(5)

        target = FunctionTarget(slow, "slow", concurrency=1)
        results = await asyncio.gather(*(result_of(target().timeout(queue=2)) for _ in range(2)))
        assert [result.status for result in results] == [Status.SUCCEEDED, Status.TIMED_OUT]
        assert results[1].attempts == ()

    async def test_the_first_token(self):
        stream = Stream(3, 1)
        error = await times_out(stream.model()("x").timeout(first_token=2))
        assert (str(error), now()) == ("No first token within 2 s (first_token).", 2)
        assert (error.provider, stream.closed) == ("model", 1)
        assert not others()

    async def test_between_two_tokens(self):
        stream = Stream(5, 1, 1, 3)
        error = await times_out(stream.model()("x").timeout(between_tokens=2))
        assert (str(error), now()) == ("No further token within 2 s (between_tokens).", 9)
        assert stream.closed == 1
        assert not others()

    async def test_who_keeps_to_them_is_left_alone(self):
        stream = Stream(4, 1, 1.5, 1)
        answer = await stream.model()("x").timeout(20, queue=1, first_token=5, between_tokens=2)
        assert (answer, now(), stream.closed) == ("word " * 4, 7.5, 1)
        assert not others()

    async def test_the_attempts_own_holds_as_well(self):
        stream = Stream(*[1] * 9)
        error = await times_out(stream.model()("x").timeout(4.5, first_token=2, between_tokens=2))
        assert (str(error), now(), stream.closed) == ("No answer within 4.5 s.", 4.5, 1)

    async def test_of_two_that_name_the_same_the_shorter_holds(self):
        call = Stream(3)
        await times_out(
            call.model()("x").timeout(first_token=5).timeout(9, first_token=2).timeout(first_token=4)
        )
        assert now() == 2

    async def test_every_attempt_has_its_own(self):
        stream = Stream(3)
        again = stream.model()("x").timeout(first_token=2).retry(3, initial_delay=1, backoff="fixed")
        result = await result_of(again)
        assert (stream.asked, stream.closed) == ([0, 3, 6], 3)
        assert result.status is Status.TIMED_OUT
        assert [attempt.outcome for attempt in result.attempts] == [Status.TIMED_OUT] * 3

    async def test_an_answer_in_one_piece_is_its_own_first_token(self):
        """Of a function nobody can know before what it answers."""
        assert await asks(Work(1, "answer"))("x").timeout(first_token=2) == "answer"
        await times_out(asks(Work(3, "answer"))("x").timeout(first_token=2))

    async def test_cancelled_from_outside_the_stream_is_closed(self):
        stream = Stream(9)
        await cancelled_after(1, stream.model()("x").timeout(first_token=5))
        assert stream.closed == 1
        assert not others()

    async def test_one_that_cannot_be_stopped_is_awaited_for_the_grace(self):
        stubborn = Stubborn()
        target = asks(stubborn, concurrency=1)
        await times_out(target("x").timeout(first_token=2))
        assert (now(), target.slots.active) == (3, 1)
        stubborn.release.set()
        await asyncio.sleep(0.1)
        assert target.slots.active == 0

    @pytest.mark.parametrize(
        ("make", "said"),
        [
            (lambda: timeout(), "takes seconds, or a clock"),
            (lambda: timeout(queue=0), "queue=0"),
            (lambda: timeout(first_token=-1), r"\$\.first_token"),
            (lambda: timeout(between_tokens=float("nan")), "between_tokens=nan"),
            (lambda: timeout(connect=True), "connect=True"),
            (
                lambda: timeout(5, queue=1)(race(Work())),
                "queue is a clock of a provider's or a function's call",
            ),
            (lambda: timeout(first_token=1)(asks(Work())("x").retry(3)), "before retry"),
            (lambda: asks(Work())("x").timeout(connect=1), "no connection"),
            (lambda: FunctionTarget(Work(), "work")().timeout(first_token=1), "work is a function"),
            (lambda: Registry().resolve("echo:")("x").timeout(between_tokens=1), "in one piece"),
        ],
    )
    def test_what_cannot_be_is_said_when_made(self, make, said):
        with pytest.raises(ValueError, match=said):
            make()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5", None, True])
def test_its_seconds_are_judged_when_made(seconds):
    with pytest.raises(ValueError, match="timeout"):
        timeout(seconds)


class TestStrays:
    """What cannot be stopped: the outcome is out, and its slots stay taken until it has really ended."""

    async def test_an_uncooperative_coroutine(self):
        runner, stubborn = Runner(1), Stubborn()
        target = asks(stubborn, concurrency=1)
        result = await runner.run(lambda: target("x").timeout(2))
        assert (result.status, now()) == (Status.TIMED_OUT, 3)
        assert (runner.slots.active, target.slots.active) == (1, 1)
        nxt, other = Work(1), Work(1)
        waits = [runner.start(lambda: nxt), asyncio.ensure_future(target("y").started())]
        await asyncio.sleep(7)
        assert (nxt.began, len(stubborn.began)) == ([], 1)
        stubborn.release.set()
        await asyncio.gather(*waits)
        assert nxt.began == [10]
        assert other.began == []
        assert (runner.slots.active, target.slots.active) == (0, 0)
        assert (runner.slots.peak, target.slots.peak) == (1, 1)

    async def test_a_thread(self):
        runner, release = Runner(1), threading.Event()
        target = FunctionTarget(release.wait, "stuck", concurrency=1)
        result = await runner.run(lambda: target(30).timeout(2))
        assert result.status is Status.TIMED_OUT
        assert now() == pytest.approx(3)
        await asyncio.sleep(5)
        assert (runner.slots.active, target.slots.active) == (1, 1)
        release.set()
        waits = [runner.run(lambda: Work()), target().started()]
        await asyncio.gather(*waits)
        assert (runner.slots.active, target.slots.active) == (0, 0)
        assert (runner.slots.peak, target.slots.peak) == (1, 1)

    async def test_after_a_cancellation_from_outside(self):
        runner, stubborn = Runner(1), Stubborn()
        await cancelled_after(1, runner.run(lambda: timeout(5)(as_single(stubborn).map(str))))
        assert now() == 2
        assert runner.slots.active == 1
        stubborn.release.set()
        await asyncio.sleep(0.1)
        assert runner.slots.active == 0

    async def test_of_several_the_last_gives_the_slot(self):
        runner, strays = Runner(1), [Stubborn(), Stubborn()]
        await runner.run(lambda: timeout(1)(parallel(*strays)))
        for stray, active in zip(strays, (1, 0), strict=True):
            stray.release.set()
            await asyncio.sleep(0.1)
            assert runner.slots.active == active
