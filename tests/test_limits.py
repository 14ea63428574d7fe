"""Slots: a limit that holds, and slots that are never lost."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import data, integers

from streamer.errors import SettingsError
from streamer.limits import Slots
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from streamer.testing.clock import JumpingLoop
from tests.operators.doubles import Stubborn, Work, cancelled_after, passing

pytestmark = pytest.mark.virtual_time


class SlotsMachine(RuleBasedStateMachine):
    """Takes, gives, waits and cancels in any order, also several within one turn of the event loop.

    ``held`` counts what was taken and not given back; ``waiting`` holds the waiters as they came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = JumpingLoop()
        self.slots = Slots(3)
        self.freed = 0
        self.slots.freed = (self.count,)
        self.held = 0
        self.waiting: list[asyncio.Task[None]] = []
        self.served: list[asyncio.Task[None]] = []
        self.cancelled: list[asyncio.Task[None]] = []

    def count(self) -> None:
        self.freed += 1

    def teardown(self) -> None:
        for task in self.waiting:
            task.cancel()
        self.turn()
        while self.held:
            self.give()
            self.turn()
        assert self.slots.active == 0
        assert not self.slots.waiters
        self.loop.close()

    async def wait(self) -> None:
        await self.slots.acquire()
        task = asyncio.current_task()
        assert task is not None
        self.served.append(task)
        self.held += 1

    @rule()
    def take(self) -> None:
        if self.slots.take():
            self.held += 1

    @precondition(lambda self: self.held)
    @rule()
    def give(self) -> None:
        self.held -= 1
        self.slots.give()

    @rule()
    def acquire(self) -> None:
        self.waiting.append(self.loop.create_task(self.wait()))

    @precondition(lambda self: self.waiting)
    @rule(data=data())
    def cancel(self, data) -> None:
        task = self.waiting[data.draw(integers(0, len(self.waiting) - 1))]
        task.cancel()
        self.cancelled.append(task)

    @rule()
    def turn(self) -> None:
        """All that can happen does."""
        self.loop.run_until_complete(asyncio.sleep(1))
        uncancelled = [task for task in self.waiting if task not in self.cancelled]
        served = [task for task in uncancelled if task in self.served]
        assert served == uncancelled[: len(served)], "first come, first served"
        for task in self.waiting:
            if task.done():
                assert task.cancelled() or task.exception() is None
        self.waiting = [task for task in self.waiting if not task.done()]
        assert self.slots.active == self.held
        assert not self.waiting or self.slots.active == self.slots.limit, "nobody waits while a slot is free"
        assert len(self.slots.waiters) == len(self.waiting)

    @invariant()
    def limit_holds(self) -> None:
        assert 0 <= self.held <= self.slots.active <= self.slots.limit
        assert self.slots.active <= self.slots.peak <= self.slots.limit


SlotsMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestSlots = SlotsMachine.TestCase


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "3", None])
def test_a_limit_is_a_whole_number_of_at_least_one(limit):
    with pytest.raises(SettingsError, match="concurrency of x"):
        Slots(limit, "concurrency of x")


async def test_a_slot_goes_to_who_has_waited_longest():
    slots, order = Slots(1), []

    async def work(name):
        await slots.acquire()
        order.append(name)
        await asyncio.sleep(1)
        slots.give()

    await asyncio.gather(*(work(name) for name in "abcd"))
    assert "".join(order) == "abcd"


async def test_who_is_cancelled_in_the_turn_of_his_slot_passes_it_on():
    slots = Slots(1)
    slots.take()
    first, second = (asyncio.ensure_future(slots.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    slots.give()
    first.cancel()
    await second
    assert (first.cancelled(), slots.active) == (True, 1)


async def test_who_is_cancelled_just_before_a_slot_is_given_is_cancelled():
    """And nothing else is raised."""
    slots = Slots(1)
    slots.take()
    waits = asyncio.ensure_future(slots.acquire())
    await asyncio.sleep(0)
    waits.cancel()
    slots.give()
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert slots.active == 0


class Leaves:
    """What has a limit of its own: calls of providers, plain or with a clock, and functions."""

    @staticmethod
    def provider(work):
        return Registry().declare(lambda request: work(), {"name": "model", "concurrency": 1}), "x"

    @staticmethod
    def prompt_provider(work):
        class Model:
            ends_when_cancelled = True

            def answer(self, request):
                return work()

        return Registry().declare(Model(), {"name": "model", "concurrency": 1}), "x"

    @staticmethod
    def function(work):
        return FunctionTarget(work.__call__, "work", concurrency=1), None


@pytest.mark.parametrize("leaf", [Leaves.provider, Leaves.prompt_provider, Leaves.function])
@pytest.mark.parametrize("clock", [None, 50])
class TestGivenBackOnce:
    """A slot of a provider is given back exactly once, however its call ends."""

    def make(self, leaf, clock, work):
        target, question = leaf(work)
        gives = []
        target.slots.freed = (lambda: gives.append(1),)

        def call():
            one = target() if question is None else target(question)
            return one if clock is None else one.timeout(clock)

        return call, target.slots, gives

    async def check(self, call, slots, gives, work):
        assert (slots.active, slots.peak, len(gives)) == (0, 1, 1)
        work.seconds, work.error = 0, None
        await asyncio.wait_for(asyncio.gather(call(), call()), 10)
        assert (slots.active, slots.peak) == (0, 1)

    async def test_after_a_success(self, leaf, clock):
        work = Work(1)
        call, slots, gives = self.make(leaf, clock, work)
        await call()
        await self.check(call, slots, gives, work)

    async def test_after_a_failure(self, leaf, clock):
        work = Work(1, error=passing())
        call, slots, gives = self.make(leaf, clock, work)
        with pytest.raises(type(work.error)):
            await call()
        await self.check(call, slots, gives, work)

    async def test_after_a_timeout(self, leaf, clock):
        work = Work(100)
        call, slots, gives = self.make(leaf, clock, work)
        with pytest.raises(TimeoutError):
            await call().timeout(10)
        await self.check(call, slots, gives, work)

    @pytest.mark.parametrize("seconds", [0, 1])
    async def test_after_a_cancellation(self, leaf, clock, seconds):
        work = Work(100, cleanup=0.5)
        call, slots, gives = self.make(leaf, clock, work)
        await cancelled_after(seconds, call())
        if not gives:
            assert work.began == []
            gives.append(1)
            slots.peak = 1
        await self.check(call, slots, gives, work)

    async def test_after_a_cancellation_while_waiting_for_it(self, leaf, clock):
        work = Work(10)
        call, slots, gives = self.make(leaf, clock, work)
        first = asyncio.ensure_future(call().started())
        await asyncio.sleep(0)
        await cancelled_after(1, call())
        assert slots.active == 1
        await first
        assert len(work.began) == 1
        await self.check(call, slots, gives, work)

    async def test_only_when_the_work_has_really_ended(self, leaf, clock):
        work = Stubborn()
        call, slots, gives = self.make(leaf, clock, work)
        task = asyncio.ensure_future(call().timeout(3).started())
        await asyncio.sleep(30)
        assert (slots.active, gives) == (1, [])
        work.release.set()
        await asyncio.wait((task,))
        await asyncio.sleep(0)
        assert (slots.active, len(gives)) == (0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda request: 1 / 0, id="raises"),
        pytest.param(lambda request: "plain", id="plain"),
    ],
)
async def test_a_provider_that_awaits_nothing_gives_its_slot_back(answer):
    target = Registry().declare(answer, {"name": "model", "concurrency": 1})
    for _ in range(3):
        await asyncio.wait((asyncio.ensure_future(target("x").started()),))
    assert (target.slots.active, target.slots.peak) == (0, 1)


async def test_a_limit_holds_over_all_who_name_the_provider():
    registry, work = Registry(), Work(1)

    def model(request):
        return work()

    names = [registry.declare(model, {"name": "model", "concurrency": 3}) for _ in range(4)]
    await asyncio.gather(*(name("x") for name in names for _ in range(3)))
    assert names[0].slots.peak == 3
    assert sorted(work.began) == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
