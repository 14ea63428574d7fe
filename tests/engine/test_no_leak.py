"""No leak: tasks nested at random, with latencies, faults and cancellations at random, and every invariant that applies.

Beyond what :mod:`tests.engine.test_properties` makes there are models that stream, simulated ones, threads, and calls
that are shared; and beyond what it checks: values in their places, times, limits, deadlines, and what was paid.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from concurrent.futures import Future
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from streamer import Engine, batched, timeout
from streamer.errors import CallFailed
from streamer.limits import Limit
from streamer.operand import as_single
from streamer.providers.function import FunctionTarget
from streamer.providers.protocol import Chunk, Response
from streamer.providers.simulated import Simulated
from streamer.results import Result, Status, Usage
from streamer.scope import CANCEL_GRACE
from tests.engine import test_properties as properties
from tests.engine.test_properties import check, lazy, settled
from tests.operators.doubles import now, others

LEAVES = st.one_of(
    properties.LEAVES,
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["stream", "thread", "batched"]),
            "fates": st.lists(properties.FATES, min_size=1, max_size=3),
            "seconds": properties.SECONDS,
            "cleanup": st.sampled_from([0, 0.3]),
            "clock": st.sampled_from([None, None, 0.7, 4]),
        }
    ),
    st.fixed_dictionaries(
        {
            "op": st.just("model"),
            "seconds": properties.SECONDS,
            "seed": st.integers(0, 9),
            "rates": st.sampled_from([(0, 0, 0), (0.3, 0.3, 0.3), (1, 0, 0), (0, 1, 0), (0, 0, 1)]),
            "clock": st.sampled_from([0.7, 4]),
        }
    ),
)
PLANS = st.recursive(LEAVES, properties.larger, max_leaves=8)
LONGEST = 3.0
"""Seconds that anything takes, at most, to end when it is cancelled."""
SAME_STEP = ("timeout", "deadline", "retry", "limited")
"""What stands at the step of what it is around."""
UNSEEN = ("awaits", "flat_map", "named call")
"""Functions, whose calls are no children."""


class Threads:
    """What threads are to a function: a call ends when its time has come, cancelled or not."""

    def __init__(self, world: World, seconds: float) -> None:
        self.world, self.seconds = world, seconds

    def submit(self, work: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self.world.alive += 1

        def end() -> None:
            self.world.alive -= 1
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        asyncio.get_running_loop().call_later(self.seconds, end)
        return future


class Paid(Simulated):
    """A simulated model; the world knows which calls are open, and what its answers cost."""

    world: World

    async def answer(self, request: Any) -> Response:
        self.world.alive += 1
        try:
            response = await super().answer(request)
        finally:
            self.world.alive -= 1
        assert response.usage is not None
        self.world.paid += response.usage.input_tokens
        return response


class World(properties.World):
    """Makes more, each leaf with an answer of its own, and counts what was paid."""

    def __init__(self) -> None:
        super().__init__()
        self.paid = 0
        self.crowd = Limit(3, "threads and batches")
        self.limited.append(self.crowd)

    def said(self, spec: dict[str, Any]) -> Any:
        return f"answer {spec['seconds']}" if spec["op"] != "model" else "four letters"

    async def lives(self, fate: str, spec: dict[str, Any]) -> Any:
        try:
            answer = await super().lives(fate, spec)
        except CallFailed as error:
            if error.usage is not None and spec["op"] != "callable":  # which is no call of anybody
                self.paid += error.usage.input_tokens
            raise
        return self.said(spec) if answer == "answer" else answer

    def make(self, spec: dict[str, Any]) -> Any:
        match spec["op"]:
            case "stream":
                return self.clocked(spec, self.declared(self.streamed(spec)))
            case "model":
                names = ("error_rate", "hang_rate", "truncation_rate")
                model = Paid(
                    latency=spec["seconds"], seed=spec["seed"], **dict(zip(names, spec["rates"], strict=True))
                )
                model.world = self
                return self.clocked(spec, self.declared(model))
            case "thread":
                target = FunctionTarget(self.in_a_thread(spec), "thread", concurrency=self.crowd)
                target._executor = Threads(self, spec["seconds"])  # type: ignore[assignment]
                return self.clocked(spec, target())
            case "callable":
                return as_single(super().make(spec))
            case "batched":
                return self.clocked(spec, self.shared(spec)("item"))
        return super().make(spec)

    def clocked(self, spec: dict[str, Any], single: Any) -> Any:
        return single if spec["clock"] is None else timeout(spec["clock"])(single)

    def declared(self, source: Any) -> Any:
        self.calls += 1
        declared = {"name": f"model{self.calls}", "concurrency": self.slots}
        return self.registry.declare(source, declared)("four letters")

    def streamed(self, spec: dict[str, Any]) -> Any:
        """The same as a stream of pieces, which is paid for when it is whole."""
        work = self.work({**spec, "seconds": spec["seconds"] / 2})

        async def stream(request: Any) -> Any:
            self.alive += 1
            try:
                yield Chunk(text="answer ")
                await work()
                yield Chunk(text=f"{spec['seconds']}")
                await asyncio.sleep(spec["seconds"] / 2)
                self.paid += 2
                yield Chunk(finish_reason="stop", usage=Usage(input_tokens=2))
            finally:
                self.alive -= 1

        return stream

    def in_a_thread(self, spec: dict[str, Any]) -> Any:
        fates = list(spec["fates"])

        def run() -> Any:
            match fates.pop(0) if len(fates) > 1 else fates[0]:
                case "passing" | "waits":
                    raise CallFailed("overloaded", "busy")
                case "permanent" | "bug":
                    raise KeyError("bug")
                case "cancels itself":
                    raise asyncio.CancelledError("mine")
            return self.said(spec)

        return run

    def shared(self, spec: dict[str, Any]) -> Any:
        work = self.work(spec)

        async def answers(items: list[Any]) -> list[Any]:
            answer = await work()
            return [answer for _ in items]

        return batched(answers, 3, 0.5)

    def check_slots(self) -> None:
        super().check_slots()
        for slots in (self.slots, *self.limited):
            assert slots.peak <= slots.limit


class Watched:
    """Keeps the first step."""

    step: Any = None


def in_place(world: World, spec: dict[str, Any], result: Result, value: Any) -> None:
    """Every value that there is stands where its task does; ``value`` is the result's, wherever it is held."""
    op, of, children = spec["op"], spec.get("of"), result.each_child()
    assert all(child.started_at >= result.started_at for child in children)
    if op in SAME_STEP:
        in_place(world, of, result, value)
    elif op in UNSEEN:
        return
    elif of is None:
        assert not result.succeeded or value in (world.said(spec), "late")
    elif op == "map":
        assert not result.succeeded or (isinstance(value, list) and len(value) == 1)
        for child in children:
            in_place(world, of, child, child.value)
    elif op in ("race", "fallback", "consensus"):
        found = []
        for index, child in enumerate(children):
            own = value if child.value is UNSET else child.value
            in_place(world, of[index], child, own)
            if child.succeeded and (op == "consensus" or index == result.winner):
                found.append(own)
        assert not result.succeeded or value in found or spec.get("strategy") == "merge"
    elif children and spec.get("shape", "list") == "list":  # of others those that have ended are not kept
        assert len(children) == len(of)
        keys = list(result.children) if isinstance(result.children, dict) else range(len(of))
        for key, inner, child in zip(keys, of, children, strict=True):
            held = None if value is None or value is UNSET else value[key]
            own = held if child.value is UNSET else child.value
            if value is not None and value is not UNSET:
                assert held == (own if child.succeeded else None) or own == "late"
            in_place(world, inner, child, own)


def numbered(attempts: list[str]) -> None:
    """Every attempt has an id of its own, and those of one place are counted from 1."""
    assert len(set(attempts)) == len(attempts)
    places: dict[str, list[int]] = defaultdict(list)
    for attempt in attempts:
        place, _, number = attempt.rpartition("#")
        places[place].append(int(number))
    assert all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in places.values())


OUTLIVED = {
    "op": "retry",
    "of": {
        "op": "race",
        "of": [
            {"op": "call", "fates": ["passing"], "seconds": 0, "cleanup": 0},
            {"op": "call", "fates": ["stubborn"], "seconds": 0.5, "cleanup": 0},
        ],
        "win_on": "completion",
        "hedge_delay": None,
    },
    "backoff": "fixed",
}
"""A race is run again while a contender of its first run outlives the grace: its attempt keeps its number."""


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@example(OUTLIVED, None, None)
@given(PLANS, st.none() | st.sampled_from([0, 0.25, 1, 2.5]), st.none() | st.sampled_from([0.5, 3]))
async def test_whatever_is_nested_in_what(spec, cancelled_after, until):
    """Cancelled from outside or not, with a deadline or without."""
    world, watched, reported = World(), Watched(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    slots = Limit(1)
    assert slots.take()
    engine = Engine(lambda _: as_single(world.make(spec)), slots=slots)
    ended = []
    at = None if until is None else world.epoch() + until
    task = asyncio.ensure_future(engine.run(None, task_id="t", deadline=at, watched=watched))
    task.add_done_callback(lambda _: ended.append(now()))
    if cancelled_after is not None:
        await asyncio.sleep(cancelled_after)
        task.cancel()
    cancelled = now()
    done, _ = await asyncio.wait((task,), timeout=3600)
    assert done
    if slots.kept:
        slots.kept -= 1
    else:
        slots.give()
    if until is not None:
        assert ended[0] <= watched.step.deadline + CANCEL_GRACE + 0.1
    if task.cancelled():
        assert ended[0] <= cancelled + CANCEL_GRACE + LONGEST + 0.1
    else:
        result = task.result()
        whole = not lazy(spec)
        steps, attempts, tokens = check(result, whole)
        assert len(set(steps)) == len(steps)
        if whole:
            numbered(attempts)
            assert tokens <= world.paid
        told = result.usage.input_tokens if result.usage is not None else 0
        assert told <= world.paid
        if "stubborn" not in repr(spec) and result.status is not Status.TIMED_OUT:
            assert told == world.paid
        in_place(world, spec, result, result.value)
    await settled()
    assert (slots.active, slots.kept, engine.strays, world.alive) == (0, 0, 0, 0)
    world.check_slots()
    assert others() == set()
    assert reported == []
