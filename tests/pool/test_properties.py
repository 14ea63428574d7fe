"""Whatever is submitted, cancelled, drained and shut down, and however its tasks behave: nothing is ever lost."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer import Pool, parallel
from streamer.errors import PoolClosed, PoolDraining, QueueFull
from streamer.events import TaskEnded
from streamer.results import Result
from streamer.tasks import Retry
from streamer.testing.clock import run
from tests.operators.doubles import others, passing

SECONDS = st.sampled_from([0, 0, 0.5, 1, 2, 5])
SUBMIT = st.fixed_dictionaries(
    {
        "do": st.sampled_from(["submit", "submit", "submit", "submit_nowait", "parallel"]),
        "seconds": SECONDS,
        "cleanup": st.sampled_from([0, 0, 0.3, 2]),
        "fate": st.sampled_from(
            ["answers", "answers", "flaky", "flaky", "fails", "cancels itself", "exits", "commits suicide"]
        ),
        "priority": st.integers(-2, 2),
    }
)
ACT = st.one_of(
    SUBMIT,
    SUBMIT,
    SUBMIT,
    st.fixed_dictionaries({"do": st.just("wait"), "seconds": SECONDS}),
    st.fixed_dictionaries({"do": st.just("wait"), "seconds": SECONDS}),
    st.fixed_dictionaries({"do": st.just("cancel"), "which": st.integers(0, 30)}),
    st.fixed_dictionaries({"do": st.just("cancel"), "which": st.integers(0, 30)}),
    st.fixed_dictionaries({"do": st.just("drain"), "timeout": st.sampled_from([None, 0, 1, 3])}),
    st.fixed_dictionaries({"do": st.just("give up a drain"), "seconds": SECONDS}),
)
SHUT_DOWN = st.fixed_dictionaries({"do": st.just("shut down"), "now": st.booleans()})
ACTS = st.tuples(
    st.lists(ACT, min_size=8, max_size=40), st.lists(st.one_of(ACT, SHUT_DOWN), max_size=10)
).map(lambda both: [*both[0], *both[1]])


class World:
    """A pool, what was submitted to it, and how many work at once."""

    def __init__(self, **given: Any) -> None:
        self.told: list[Result] = []
        self.pool = Pool(
            **given, retry=Retry(initial_delay=1, jitter=0, max_attempts=2), on_event=self.hear, timeout=4
        )
        self.futures: list[asyncio.Future[Result]] = []
        self.beside: list[asyncio.Task[Any]] = []
        self.working = self.most = 0
        self.wrong: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.wrong.append(context))

    def hear(self, event: Any) -> None:
        if isinstance(event, TaskEnded):
            self.told.append(event.result)
            self.look()

    def look(self) -> None:
        stats = self.pool.stats
        ended = stats.succeeded + stats.failed + stats.timed_out + stats.cancelled + stats.skipped
        if (
            stats.submitted != ended + stats.queued + stats.active
            or stats.active > self.pool.workers
            or stats.queued + stats.active > self.pool.most
        ):
            self.wrong.append(stats)

    def task(self, act: dict[str, Any]) -> Any:
        attempts = 0

        async def work() -> Any:
            nonlocal attempts
            attempts += 1
            self.working += 1
            self.most = max(self.most, self.working)
            self.look()
            try:
                if act["fate"] == "commits suicide":
                    asyncio.current_task().cancel()  # type: ignore[union-attr]
                await asyncio.sleep(act["seconds"])
                if act["fate"] == "cancels itself":
                    raise asyncio.CancelledError
                if act["fate"] == "exits":
                    raise BaseException("odd")
                if act["fate"] == "fails" or (act["fate"] == "flaky" and attempts == 1):
                    raise passing()
                return "answer"
            except asyncio.CancelledError:
                await asyncio.sleep(act["cleanup"])
                raise
            finally:
                self.working -= 1

        return parallel(work, concurrency=1) if act["do"] == "parallel" else work

    async def submit(self, act: dict[str, Any]) -> None:
        try:
            if act["do"] == "submit":
                future = await self.pool.submit(self.task(act), priority=act["priority"])
            else:
                future = self.pool.submit_nowait(self.task(act), priority=act["priority"])
        except (QueueFull, PoolClosed, PoolDraining):
            return
        self.futures.append(future)

    async def drain(self, timeout: float | None) -> None:
        with suppress(TimeoutError):
            await self.pool.drain(timeout)

    async def act(self, act: dict[str, Any]) -> None:
        match act["do"]:
            case "wait":
                await asyncio.sleep(act["seconds"])
            case "cancel" if self.futures:
                self.futures[act["which"] % len(self.futures)].cancel()
            case "drain":
                self.start(self.drain(act["timeout"]))
            case "give up a drain":
                giving_up = self.start(self.drain(None))
                asyncio.get_running_loop().call_later(act["seconds"], giving_up.cancel)
            case "shut down":
                self.start(self.pool.shutdown(act["now"]))
            case "submit" | "submit_nowait" | "parallel":
                self.start(self.submit(act))
        await asyncio.sleep(0)
        self.look()

    def start(self, work: Any) -> asyncio.Task[Any]:
        self.beside.append(asyncio.ensure_future(work))
        return self.beside[-1]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ACTS,
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from(["wait", "refuse"]),
    st.booleans(),
)
def test_every_future_ends_the_counts_add_up_and_no_more_work_than_there_are_workers(
    acts, workers, queue, when_full, now
):
    async def live() -> None:
        world = World(workers=workers, queue=queue, when_full=when_full)
        for act in acts:
            await world.act(act)
        await world.pool.shutdown(now)
        await asyncio.gather(*world.beside, return_exceptions=True)
        for task in world.beside:
            assert task.cancelled() or task.exception() is None
        await asyncio.sleep(10)
        assert not others()
        assert not world.wrong
        stats = world.pool.stats
        assert stats.queued == stats.active == 0
        assert all(future.done() for future in world.futures)
        assert stats.submitted == len(world.told) == len({result.task_id for result in world.told})
        assert len(world.futures) <= stats.submitted
        assert world.most <= workers
        assert world.working == world.pool.crew.slots.active == world.pool.crew.slots.kept == 0
        for future in world.futures:
            if not future.cancelled():
                result = future.result()
                assert result in world.told
                assert not result.succeeded or result.value in ("answer", ["answer"])
                assert result.succeeded or result.error is not None

    run(live())
