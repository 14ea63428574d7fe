"""Limit: a limit that holds, and slots that are never lost."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import data, integers

from streamer import Engine, Topology, llm, retry, timeout
from streamer.errors import SettingsError
from streamer.limits import Limit
from streamer.limits.ceiling import ceiling, made
from streamer.operand import as_single
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from streamer.testing.clock import JumpingLoop
from tests.operators.doubles import Script, Stubborn, Work, cancelled_after, passing

pytestmark = pytest.mark.virtual_time


class LimitMachine(RuleBasedStateMachine):
    """Takes, gives, waits and cancels in any order, also several within one turn of the event loop.

    ``held`` counts what was taken and not given back; ``waiting`` holds the waiters as they came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loop = JumpingLoop()
        self.slots = Limit(3)
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
        assert not self.slots.waiters.alive
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


LimitMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestLimit = LimitMachine.TestCase


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "3", None])
def test_a_limit_is_a_whole_number_of_at_least_one(limit):
    with pytest.raises(SettingsError, match="concurrency of x"):
        Limit(limit, "concurrency of x")


async def test_a_slot_goes_to_who_has_waited_longest():
    slots, order = Limit(1), []

    async def work(name):
        await slots.acquire()
        order.append(name)
        await asyncio.sleep(1)
        slots.give()

    await asyncio.gather(*(work(name) for name in "abcd"))
    assert "".join(order) == "abcd"


async def test_who_is_cancelled_in_the_turn_of_his_slot_passes_it_on():
    slots = Limit(1)
    slots.take()
    first, second = (asyncio.ensure_future(slots.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    slots.give()
    first.cancel()
    await second
    assert (first.cancelled(), slots.active) == (True, 1)


async def test_who_is_cancelled_just_before_a_slot_is_given_is_cancelled():
    """And nothing else is raised."""
    slots = Limit(1)
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


class TestALimitThatIsShared:
    """The object is what is shared; its name is for people."""

    async def test_holds_over_providers_functions_and_engines(self):
        limit, work = Limit(2, name="gpu"), Work(1)
        registry = Registry()
        targets = [registry.declare(lambda _: work(), {"name": n, "concurrency": limit}) for n in "ab"]
        function = FunctionTarget(work.__call__, "work", concurrency=limit)
        engine = Engine(lambda _: as_single(work), concurrency=limit)
        await asyncio.gather(
            *(target("x") for target in targets for _ in range(3)),
            *(function() for _ in range(3)),
            *(engine.run(None) for _ in range(3)),
        )
        assert (limit.peak, limit.active) == (2, 0)
        assert sorted(work.began) == [second for second in range(6) for _ in range(2)]

    async def test_two_of_one_name_are_two(self):
        one, other = Limit(1, name="gpu"), Limit(1, name="gpu")
        assert one.take()
        assert other.take()

    def test_a_provider_declared_again_has_to_have_the_same(self):
        registry, limit = Registry(), Limit(2)
        first = registry.declare("echo:", {"concurrency": limit})
        assert registry.declare("echo:", {"concurrency": limit}) is first
        with pytest.raises(SettingsError, match="declared before"):
            registry.declare("echo:", {"concurrency": Limit(2)})

    def test_two_topologies_may_share_it(self):
        limit = Limit(7, name="all")
        topologies = [Topology(name, f"{name}-out", concurrency=limit) for name in ("a", "b")]
        assert [topology.slots(7) for topology in topologies] == [limit, limit]
        assert topologies[0].settings["concurrency"] == 7

    def test_a_flag_says_another_number(self):
        limit = Limit(7)
        own = Topology("a", "b", concurrency=limit).slots(9)
        assert (own is limit, own.limit) == (False, 9)


class TestAnEnginesConcurrency:
    async def test_so_many_tasks_run_at_once(self):
        work = Work(1)
        engine = Engine(lambda _: as_single(work), concurrency=2)
        results = await asyncio.gather(*(engine.run(None) for _ in range(5)))
        assert work.began == [0, 0, 1, 1, 2]
        assert [result.queue_time for result in results] == pytest.approx([0, 0, 1, 1, 2])
        assert (engine.slots.peak, engine.slots.active) == (2, 0)

    async def test_the_higher_priority_goes_first(self):
        order = []

        async def note(request):
            order.append(request.prompt)
            await asyncio.sleep(1)

        registry = Registry()
        registry.declare(note, {"name": "note:"})
        engine = Engine(providers=registry, concurrency=1)
        tasks = [llm(str(p), model="note:", priority=p) for p in (0, 1, 9, 1)]
        await asyncio.gather(*(engine.run(task) for task in tasks))
        assert order == ["0", "9", "1", "1"]

    async def test_a_back_off_lends_its_place(self):
        flaky, other = Script(passing(), "answer"), Work(2)
        plans = {"flaky": retry(2, initial_delay=9, backoff="fixed")(flaky), "other": as_single(other)}
        engine = Engine(lambda name: plans[name], concurrency=1)
        await asyncio.gather(engine.run("flaky"), engine.run("other"))
        assert (other.began, engine.slots.peak, engine.slots.active) == ([0], 1, 0)

    async def test_a_task_that_runs_another_does_not_wait_for_itself(self):
        engine = Engine(lambda depth: engine.run(depth - 1) if depth else "end", concurrency=1)
        result = await asyncio.wait_for(engine.run(3), 10)
        assert result.value.value.value.value == "end"

    @pytest.mark.parametrize("end", ["cancelled", "stray"])
    async def test_its_place_is_free_when_it_has_really_ended(self, end):
        stubborn = Stubborn()
        engine = Engine(lambda _: timeout(2)(stubborn), concurrency=1)
        if end == "cancelled":
            await cancelled_after(1, engine.run(None))
        else:
            await engine.run(None)
        await asyncio.sleep(20)
        assert engine.slots.active == 1
        stubborn.release.set()
        await asyncio.sleep(0.1)
        assert (engine.slots.active, engine.slots.kept, engine.strays) == (0, 0, 0)

    @pytest.mark.parametrize("settings", [{"concurrency": 0}, {"concurrency": 2, "slots": Limit(2)}])
    def test_what_cannot_be_is_said_when_made(self, settings):
        with pytest.raises(SettingsError, match="concurrency"):
            Engine(**settings)


class TestTheLimitOfAllModelCalls:
    """MAX_CONCURRENT_LLM_CALLS: of a process, over all providers."""

    @pytest.fixture(autouse=True)
    def three(self, monkeypatch):
        monkeypatch.setenv("MAX_CONCURRENT_LLM_CALLS", " 3 ")
        made.cache_clear()

    async def test_holds_over_all_providers_and_engines(self):
        work, free = Work(1), Work(1)
        registries = [Registry(), Registry()]
        for registry in registries:
            registry.declare(lambda _: work(), {"name": "a:", "concurrency": 2})
            registry.declare(lambda _: work(), {"name": "b:"})
        function = FunctionTarget(free.__call__, "free")
        await asyncio.gather(
            *(
                Engine(providers=r).run(llm("x", model=m))
                for r in registries
                for m in ("a:", "b:")
                for _ in range(3)
            ),
            *(function() for _ in range(9)),
        )
        assert sorted(work.began) == [second for second in range(4) for _ in range(3)]
        assert free.began == [0] * 9
        assert (ceiling().peak, ceiling().active) == (3, 0)

    async def test_a_model_that_nobody_declared_takes_part(self):
        registry = Registry()
        echo = registry.resolve("echo:")
        for _ in range(3):
            assert ceiling().take()
        with pytest.raises(TimeoutError, match="queue"):
            await echo("x").timeout(queue=2)
        ceiling().give()
        assert await echo("x") == "x"

    async def test_a_provider_that_asks_another_does_not_wait_for_itself(self, monkeypatch):
        monkeypatch.setenv("MAX_CONCURRENT_LLM_CALLS", "1")
        registry, work = Registry(), Work(1, "answer")
        inner = registry.declare(lambda _: work(), {"name": "inner", "concurrency": 1})
        outer = registry.declare(lambda _: inner("x"), {"name": "outer", "concurrency": 5})
        answers = await asyncio.wait_for(asyncio.gather(*(outer("x") for _ in range(3))), 100)
        assert answers == ["answer"] * 3
        assert (ceiling().active, work.began) == (0, [0, 1, 2])

    @pytest.mark.parametrize("said", ["0", "-1", "1.5", "many", "\u0663", "9" * 5_000])
    def test_what_cannot_be_is_named(self, monkeypatch, said):
        monkeypatch.setenv("MAX_CONCURRENT_LLM_CALLS", said)
        for make in (Engine, lambda: Registry().declare("echo:", {})):
            with pytest.raises(
                SettingsError, match="MAX_CONCURRENT_LLM_CALLS is a whole number of at least 1"
            ):
                make()

    def test_unset_there_is_none(self, monkeypatch):
        for said in ("", "  "):
            monkeypatch.setenv("MAX_CONCURRENT_LLM_CALLS", said)
            assert ceiling() is None


def test_loops_of_several_threads_share_a_limit_and_none_waits_for_ever() -> None:
    shared = Limit(2, name="shared")
    calls = 200

    async def call() -> None:
        await shared.acquire()
        await asyncio.sleep(0)
        shared.give()

    async def many() -> int:
        await asyncio.gather(*(call() for _ in range(calls)))
        return calls

    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(lambda: asyncio.run(asyncio.wait_for(many(), 30))) for _ in range(4)]
    assert [each.result() for each in done] == [calls] * 4
    assert (shared.peak, shared.active, shared.waiters.alive) == (2, 0, 0)


def test_who_waits_on_a_loop_that_was_closed_is_passed_over() -> None:
    shared = Limit(1)
    assert shared.take()
    waiting = shared.acquire()

    async def begin() -> None:
        waiting.send(None)

    asyncio.run(begin())
    assert shared.waiters.alive == 1
    shared.give()
    assert (shared.active, shared.waiters.alive) == (0, 0)
    waiting.close()
