"""Whatever a task is made of, and whatever becomes of it: nothing leaks, and the sums are right."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer import consensus, fallback, limited, map, parallel, race, retry, sequence, timeout
from streamer.engine import Engine
from streamer.errors import CallFailed
from streamer.limits import Limit
from streamer.operators import concurrent_map
from streamer.operators.deadline import deadline
from streamer.operators.hedging import Hedging
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from streamer.results import Result, Status, Usage
from tests.operators.doubles import others


class Plain:
    """Items of unknown length that can be read again and again."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Any:
        yield from self.items


class Slow:
    """The same, each after a while."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    async def __aiter__(self) -> Any:
        for item in self.items:
            await asyncio.sleep(0.5)
            yield item


SHAPES = {"list": list, "iterable": Plain, "async": Slow}
SECONDS = st.sampled_from([0, 0, 0.5, 1, 1, 2, 3, 7])
FATES = st.sampled_from(
    ["answers", "answers", "passing", "permanent", "waits", "cancels itself", "bug", "stubborn"]
)
LEAVES = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["call", "call", "function", "callable"]),
        "fates": st.lists(FATES, min_size=1, max_size=3),
    }
    | {"seconds": SECONDS, "cleanup": st.sampled_from([0, 0, 0.3, 2])}
)


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=4)
    return st.one_of(
        st.fixed_dictionaries(
            {"op": st.just("race"), "of": several, "win_on": st.sampled_from(["success", "completion"])}
            | {"hedge_delay": st.sampled_from([None, 0.5, 1.5, "p95"])}
        ),
        st.fixed_dictionaries({"op": st.just("fallback"), "of": several}),
        st.fixed_dictionaries(
            {"op": st.just("consensus"), "of": st.lists(inner, min_size=2, max_size=4)}
            | {
                "strategy": st.sampled_from(["majority", "unanimous", "merge"]),
                "compare": st.sampled_from(["exact", "similarity"]),
                "minimum_agreement": st.sampled_from([0, 0.5, 1]),
                "concurrency": st.sampled_from([None, 1, 2]),
            }
        ),
        st.fixed_dictionaries(
            {"op": st.just("sequence"), "of": several, "on_error": st.sampled_from(["stop", "continue"])}
        ),
        st.fixed_dictionaries(
            {"op": st.just("parallel"), "of": several, "named": st.booleans(), "fail_fast": st.booleans()}
            | {
                "concurrency": st.sampled_from([None, 1, 2]),
                "require": st.sampled_from(["all", "any", "none"]),
            }
        ),
        st.fixed_dictionaries(
            {"op": st.just("map of"), "of": several, "shape": st.sampled_from(sorted(SHAPES))}
            | {
                "fail_fast": st.booleans(),
                "concurrency": st.sampled_from([None, 1, 2]),
                "batch_size": st.sampled_from([None, 1, 2]),
                "require": st.sampled_from(["all", "any", "none"]),
            }
        ),
        st.fixed_dictionaries(
            {"op": st.just("retry"), "of": inner, "backoff": st.sampled_from(["fixed", "jitter"])}
        ),
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["timeout", "deadline"]),
                "of": inner,
                "seconds": st.sampled_from([0.5, 2, 5]),
            }
        ),
        st.fixed_dictionaries(
            {"op": st.sampled_from(["map", "awaits", "flat_map", "named call", "limited"]), "of": inner}
        ),
    )


PLANS = st.recursive(LEAVES, larger, max_leaves=8)


class World:
    """Makes plans of their descriptions, and counts what is alive in them."""

    def __init__(self) -> None:
        self.slots = Limit(2, "model")
        self.registry = Registry()
        self.limited: list[Limit] = []
        self.alive = self.most = 0
        self.calls = 0

    def work(self, spec: dict[str, Any]) -> Any:
        fates = list(spec["fates"])

        async def run() -> Any:
            fate = fates.pop(0) if len(fates) > 1 else fates[0]
            self.alive += 1
            try:
                return await self.lives(fate, spec)
            finally:
                self.alive -= 1

        return run

    async def lives(self, fate: str, spec: dict[str, Any]) -> Any:
        try:
            await asyncio.sleep(spec["seconds"])
        except asyncio.CancelledError:
            if fate == "stubborn":
                await asyncio.sleep(3)
                return "late"
            await asyncio.sleep(spec["cleanup"])
            raise
        match fate:
            case "passing":
                raise CallFailed("overloaded", "busy", usage=Usage(input_tokens=1))
            case "waits":
                raise CallFailed("rate_limit", "slow down", retry_after=4)
            case "permanent":
                raise CallFailed("authentication", "no key")
            case "bug":
                raise KeyError("bug")
            case "cancels itself":
                raise asyncio.CancelledError("mine")
        return "answer"

    def make(self, spec: dict[str, Any]) -> Any:
        of = spec.get("of")
        match spec["op"]:
            case "call":
                return self.provider(spec)("?")
            case "function":
                return self.function(spec)()
            case "callable":
                return self.work(spec)
            case "race":
                delay = spec["hedge_delay"]
                hedging = Hedging() if delay else None
                return race(
                    *[self.make(child) for child in of],
                    win_on=spec["win_on"],
                    hedge_delay=delay,
                    hedging=hedging,
                )
            case "fallback":
                return fallback(*[self.make(child) for child in of])
            case "sequence":
                return sequence(*[self.make(child) for child in of], on_error=spec["on_error"])
            case "consensus":
                names = ("strategy", "compare", "minimum_agreement", "concurrency")
                return consensus(*[self.make(child) for child in of], **{name: spec[name] for name in names})
            case "parallel":
                children = [self.make(child) for child in of]
                given = [{f"n{i}": child for i, child in enumerate(children)}] if spec["named"] else children
                chosen = {name: spec[name] for name in ("fail_fast", "concurrency", "require")}
                return parallel(*given, **chosen)
            case "map of":
                chosen = {name: spec[name] for name in ("fail_fast", "concurrency", "batch_size", "require")}
                return map(self.make, SHAPES[spec["shape"]](of), **chosen)
            case "retry":
                return retry(3, backoff=spec["backoff"], initial_delay=1)(self.make(of))
            case "timeout":
                return timeout(spec["seconds"])(self.make(of))
            case "deadline":
                return deadline(datetime.fromtimestamp(self.epoch() + spec["seconds"], UTC))(self.make(of))
            case "map":
                return race(self.make(of)).map(lambda value: [value])
            case "flat_map":
                return race(self.make(of)).flat_map(lambda value: race(lambda: value))
            case "limited":
                return limited(self.slots)(self.make(of))
            case "named call":
                return FunctionTarget(lambda: race(self.make(of)), "f", run_in="loop")()
        single = race(self.make(of))

        async def awaits() -> Any:
            try:
                return await single
            except CallFailed:
                return await single

        return awaits

    def epoch(self) -> float:
        import time

        return time.time()

    def provider(self, spec: dict[str, Any]) -> Any:
        self.calls += 1
        work = self.work(spec)
        settings = {"name": f"model{self.calls}", "concurrency": self.slots}
        return self.registry.declare(lambda _: work(), settings)

    def function(self, spec: dict[str, Any]) -> Any:
        target = FunctionTarget(self.work(spec), "f", concurrency=2)
        self.limited.append(target.slots)
        return target

    def check_slots(self) -> None:
        for slots in (self.slots, *self.limited):
            assert (slots.active, slots.waiters.alive) == (0, 0)


def lazy(spec: Any) -> bool:
    """Whether there is a map in it whose ended children are not kept, but for what they cost."""
    return any(f"'shape': '{shape}'" in repr(spec) for shape in ("iterable", "async"))


def check(result: Result, whole: bool = True) -> tuple[list[str], list[str], int]:
    """The ids of its steps and attempts, and the input tokens of the latter; what holds of every result does.

    ``whole`` says whether every child is there.
    """
    steps, attempts = [result.task_id], [attempt.id for attempt in result.attempts]
    tokens = sum(attempt.usage.input_tokens for attempt in result.attempts if attempt.usage is not None)
    assert isinstance(result.status, Status)
    assert (result.error is None) == (result.status is Status.SUCCEEDED)
    assert result.queue_time >= 0
    assert result.duration >= 0
    children = result.each_child()
    counts = Counter(child.status for child in children)
    assert sum(counts[status] for status in Status) == len(children) == result.successes + result.failures
    for child in children:
        below, made, paid = check(child, whole)
        steps += below
        attempts += made
        tokens += paid
    told = result.usage.input_tokens if result.usage is not None else 0
    assert told == tokens if whole else told >= tokens
    if result.winner is not None and isinstance(result.winner, int):
        assert children[result.winner].status is not Status.SKIPPED
    return steps, attempts, tokens


async def settled() -> None:
    """Wait until all that could not be cancelled has ended by itself."""
    for _ in range(8):
        await asyncio.sleep(1)


COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=150)


@COMMON
@given(PLANS, st.none() | st.sampled_from([0, 0.25, 1, 2.5]), st.none() | st.sampled_from([0.5, 3]))
async def test_one_task(spec, cancelled_after, until):
    """Cancelled from outside or not, with a deadline or without."""
    world = World()
    slots = Limit(1)
    assert slots.take()
    engine = Engine(
        lambda _: race(world.make(spec)) if spec["op"] == "callable" else world.make(spec), slots=slots
    )
    at = None if until is None else world.epoch() + until
    task = asyncio.ensure_future(engine.run(None, task_id="t", deadline=at))
    if cancelled_after is not None:
        await asyncio.sleep(cancelled_after)
        task.cancel()
    done, _ = await asyncio.wait((task,), timeout=3600)
    assert done
    if slots.kept:
        slots.kept -= 1
    else:
        slots.give()
    if not task.cancelled():
        result = task.result()
        steps, attempts, _ = check(result, not lazy(spec))
        assert len(set(steps)) == len(steps)
        assert len(set(attempts)) == len(attempts)
        assert result.task_id == "t"
    await settled()
    assert (slots.active, slots.kept, engine.strays, world.alive) == (0, 0, 0, 0)
    world.check_slots()
    assert others() == set()


@COMMON
@given(st.lists(PLANS, min_size=1, max_size=6), st.integers(1, 3), st.booleans())
async def test_many_tasks_in_few_slots(specs, limit, disposed):
    """Every one has one result, though they lend each other their slots; or all are disposed of."""
    world = World()
    slots = Limit(limit)
    engine = Engine(lambda spec: race(world.make(spec)), slots=slots)
    results: list[Result] = []
    completed = asyncio.get_running_loop().create_future()
    subscription = concurrent_map(engine.run, slots)(specs).subscribe(
        results.append, completed.set_exception, lambda: completed.set_result(None)
    )
    if disposed:
        await asyncio.sleep(1.5)
        subscription.dispose()
    else:
        async with asyncio.timeout(3600):
            await completed
        assert len(results) == len(specs)
        for result in results:
            check(result, not lazy(specs))
    await settled()
    assert (slots.active, slots.kept, engine.strays, world.alive) == (0, 0, 0, 0)
    assert slots.peak <= limit
    world.check_slots()
    assert others() == set()
