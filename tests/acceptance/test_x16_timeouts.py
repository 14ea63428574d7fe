"""X16: each clock bounds what it says, in seconds, from the first connection to the last token; late is an error."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from streamer import Engine, map, parallel, race, retry, sequence, timeout
from streamer.errors import Category, ChildrenFailed, TimedOut
from streamer.operators.deadline import deadline
from streamer.providers.function import FunctionTarget
from streamer.providers.protocol import Request, Response
from streamer.providers.registry import Registry
from tests.acceptance.topology import call
from tests.operators.doubles import Script, Work, now, others, passing, result_of

pytestmark = pytest.mark.virtual_time


class Stream:
    """A model that takes so long to connect, to its first token and between tokens; and whether it was closed."""

    def __init__(self, connect=0.0, first=0.0, between=0.0, tokens=3):
        self.connect, self.first, self.between, self.tokens = connect, first, between, tokens
        self.open = self.opened = 0

    async def __call__(self, request):
        self.opened += 1
        self.open += 1
        try:
            await asyncio.sleep(self.connect)
            await asyncio.sleep(self.first)
            for number in range(self.tokens):
                if number:
                    await asyncio.sleep(self.between)
                yield f"{number} "
        finally:
            self.open -= 1

    def asked(self, **settings):
        return Registry().declare(self.__call__, {"name": "model", **settings})("?")


async def ends(single, seconds):
    began = now()
    with pytest.raises(TimedOut) as caught:
        await single
    assert now() - began == pytest.approx(seconds)
    assert not others()
    return caught.value


async def test_x16_of_an_attempt():
    work = Work(60)
    error = await ends(timeout(2)(work), 2)
    assert (error.category, work.alive) == (Category.TIMEOUT, 0)
    assert isinstance(error, TimeoutError)


async def test_x16_of_each_attempt_anew():
    """Three calls that each may take two seconds, not two seconds for all three."""
    work = Work(60)
    model = Registry().declare(lambda _: work(), {"name": "model"})
    await ends(retry(3, initial_delay=1, backoff="fixed")(timeout(2)(model("?"))), 3 * 2 + 2)
    assert (len(work.began), work.cancelled) == (3, 3)


async def test_x16_of_all_attempts_together():
    work = Script(passing())
    await ends(timeout(2.5)(retry(100, initial_delay=1, backoff="fixed")(work)), 2.5)
    assert work.began == [0, 1, 2]


async def test_x16_the_phase_of_connecting_is_covered():
    """Half a second to connect, with a twentieth allowed: it is not waited out."""
    slow = Stream(connect=0.5)
    error = await ends(timeout(first_token=0.05)(slow.asked()), 0.05)
    assert "first_token" in str(error)
    assert slow.open == 0


async def test_x16_connecting_has_a_clock_of_its_own():
    class Distant:
        connects = True

        async def answer(self, request: Request) -> Response:
            try:
                async with asyncio.timeout(request.connect_timeout):
                    await asyncio.sleep(5)
            except TimeoutError as error:
                raise TimedOut("No connection (connect).") from error
            return Response(text="at last")

    model = Registry().declare(Distant(), {"name": "distant"})
    error = await ends(timeout(connect=1)(model("?")), 1)
    assert "connect" in str(error)
    assert await timeout(connect=6)(model("?")) == "at last"


async def test_x16_of_the_first_token():
    slow = Stream(first=10)
    error = await ends(timeout(first_token=2)(slow.asked()), 2)
    assert "No first token within 2 s (first_token)." in str(error)
    assert (slow.opened, slow.open) == (1, 0), "the provider's stream is closed"


async def test_x16_between_tokens():
    stalls = Stream(first=5, between=10)
    error = await ends(timeout(first_token=6, between_tokens=1)(stalls.asked()), 6)
    assert "No further token within 1 s (between_tokens)." in str(error)
    assert stalls.open == 0


async def test_x16_nobody_is_late_who_keeps_to_them():
    """Seconds are seconds: ten of them to the first token, thirty between."""
    steady = Stream(first=9, between=29)
    clocked = timeout(first_token=10, between_tokens=30)(steady.asked())
    assert await clocked == "0 1 2 "
    assert now() == 9 + 2 * 29


async def test_x16_of_the_wait_for_a_slot():
    """It ends the wait, and no attempt was made; the call that holds the slot goes on."""
    busy = Stream(first=10)
    target = Registry().declare(busy.__call__, {"name": "model", "concurrency": 1})
    first = asyncio.ensure_future(target("first").started())
    await asyncio.sleep(1)
    result = await result_of(timeout(queue=2)(target("second")))
    assert (result.status, result.attempts, now()) == ("timed_out", (), 3)
    assert "queue" in result.error.message
    assert await first == "0 1 2 "
    assert (target.slots.active, busy.opened) == (0, 1)


async def test_x16_the_wait_for_a_slot_is_not_of_the_attempt():
    work = Work(2, "answer")
    target = Registry().declare(lambda _: work(), {"name": "model", "concurrency": 1})
    assert await parallel(*(timeout(3)(target("?")) for _ in range(3))) == ["answer"] * 3
    assert now() == 6


AROUND = {
    "parallel": lambda work: parallel(work, Work(1)),
    "map": lambda work: map(lambda w: w(), [work, Work(1)]),
    "sequence": lambda work: sequence(Work(1), work),
    "race": lambda work: race(work, Work(1, error=passing())),
    "retry": lambda work: retry(3)(work),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
async def test_x16_the_whole_task_has_a_deadline(around):
    """Everything below it, the waits included; what was finished by then is kept."""
    work = Work(60, cleanup=0.5)
    single = deadline(datetime.now(UTC) + timedelta(seconds=5))(around(work))
    result = await result_of(single)
    assert (result.status, result.error.category) == ("timed_out", Category.DEADLINE)
    assert 4.9 < now() <= 5.5 + 0.1
    assert work.alive == 0
    assert not others()


async def test_x16_a_group_that_is_late_says_so_and_keeps_its_partial_results():
    """It is timed out, and not failed by its own bookkeeping."""
    works = [Work(1, "a"), Work(60), Work(2, "c")]
    result = await result_of(timeout(5)(parallel(*works)))
    assert result.status == "timed_out"
    assert result.value == ["a", None, "c"]
    assert [child.status for child in result.children] == ["succeeded", "cancelled", "succeeded"]


async def test_x16_a_deadline_that_has_passed_calls_nobody():
    work = Work(1)
    result = await Engine(lambda _: parallel(work)).run(None, deadline=0.0)
    assert (result.status, work.began) == ("timed_out", [])


async def test_x16_a_back_off_that_ends_after_the_deadline_is_not_begun():
    script = Script(passing())
    single = deadline(datetime.now(UTC) + timedelta(seconds=5))(
        retry(9, initial_delay=60, max_delay=60)(script)
    )
    result = await result_of(single)
    assert (result.error.category, now(), len(script.began)) == (Category.DEADLINE, 0, 1)


async def test_x16_a_function_in_a_thread_is_left_in_time_and_its_slot_when_it_ends():
    """A thread cannot be cancelled; who waits for it can go on, and nobody takes its place before it has ended."""
    release = threading.Event()
    function = FunctionTarget(release.wait, "blocks", concurrency=1)
    try:
        with pytest.raises(TimedOut):
            await timeout(1)(function(30))
        assert function.slots.active == 1
    finally:
        release.set()
    while function.slots.active:
        await asyncio.sleep(0.01)


async def test_x16_under_fail_fast_a_timeout_stops_the_others():
    sibling = Work(60)
    with pytest.raises(ChildrenFailed):
        await parallel(timeout(1)(Work(60)), sibling, fail_fast=True)
    assert (now(), sibling.alive) == (1, 0)


def slow(**clocks):
    return {"kind": "llm", "model": "simulated:m?latency=9", "prompt": "?", "timeout": clocks}


WIRE = {
    "x16-attempt": slow(attempt=0.05)
    | {"retry": {"max_attempts": 3, "initial_delay": 0.01, "backoff": "fixed"}},
    "x16-whole": {"kind": "parallel", "timeout": 0.1, "tasks": [call("say", "a"), call("say", "late", 9)]},
    "x16-deadline": call("say", "late", 9) | {"deadline": "2020-01-01T00:00:00Z"},
}


async def test_x16_on_the_wire(answer):
    attempt = await answer("x16-attempt")
    assert (attempt["status"], attempt["error"]["category"]) == ("timed_out", "timeout")
    assert [a["outcome"] for a in attempt["attempts"]] == ["timed_out"] * 3
    whole = await answer("x16-whole")
    assert (whole["status"], whole["value"]) == ("timed_out", ["a", None])
    deadline = await answer("x16-deadline")
    assert (deadline["status"], deadline["error"]["category"], deadline["attempts"]) == (
        "timed_out",
        "deadline",
        [],
    )
