"""Progress of tasks: it follows their steps, and costs those that nobody follows nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer import Progress, map, parallel, race, retry, sequence
from streamer.engine import Engine
from streamer.errors import CallFailed
from streamer.limits import Limit
from streamer.operators.deadline import deadline
from streamer.progress import Snapshot, State
from streamer.providers.registry import Registry
from tests.engine.test_properties import COMMON, PLANS, World, lazy, settled
from tests.operators.doubles import Stubborn, Work, now, others
from tests.progress.test_node import every, goes_on, holds

pytestmark = pytest.mark.virtual_time


def started(plan, progress: Progress) -> asyncio.Task:
    return asyncio.ensure_future(Engine(lambda _: plan).run(None, task_id="t", watched=progress))


async def seen(plan, *moments: float, **settings) -> list[Snapshot]:
    """How far a plan was at some moments, and in the end."""
    progress = Progress("task", **settings)
    task, found, began = started(plan, progress), [], now()
    for moment in moments:
        await asyncio.sleep(began + moment - now())
        found.append(progress.snapshot())
    await task
    return [*found, progress.snapshot()]


def states(snapshot: Snapshot) -> list[str]:
    return [child.state.value for child in snapshot.children]


async def test_a_task_is_as_far_as_its_children():
    one, two, three, ended = await seen(
        sequence(Work(2.0), Work(2.0), parallel(Work(1.0), Work(3.0))), 1.0, 3.0, 5.5
    )
    assert [snapshot.fraction for snapshot in (one, two, three, ended)] == [0, 1 / 3, 2.5 / 3, 1]
    assert states(one) == ["running", "waiting", "waiting"]
    assert states(three) == ["succeeded", "succeeded", "running"]
    assert states(three.children[2]) == ["succeeded", "running"]
    assert (two.elapsed, two.children[0].elapsed, two.children[1].elapsed) == (3, 2, 1)
    assert two.eta == pytest.approx(6, rel=0.05)
    assert (ended.state, ended.elapsed) == (State.SUCCEEDED, 7)
    assert [node.name for node in every(three)] == [
        "task", "0 function", "1 function", "2 parallel", "0 function", "1 function",
    ]  # fmt: skip


async def test_weights_are_given_by_path():
    plan = parallel({"read": Work(1.0), "write": sequence(Work(2.0), Work(2.0))})
    weights = {"/write": 3, "/write/0": 4}
    first, second, _ = await seen(plan, 1.5, 2.5, weights=weights)
    assert [first.fraction, second.fraction] == pytest.approx([0.25, (1 + 3 * 0.8) / 4])


def four_in_a_map(**settings):
    return map(lambda work: work(), [Work(1.0) for _ in range(4)], **settings)


def four_in_parallel(**settings):
    return parallel(*[Work(1.0) for _ in range(4)], **settings)


@pytest.mark.parametrize("four", [four_in_a_map, four_in_parallel])
async def test_those_that_have_not_begun_count_as_well(four):
    plan = four(concurrency=1)
    found = await seen(plan, 0.5, 1.5, 2.5, 3.5)
    assert [snapshot.fraction for snapshot in found] == [0, 0.25, 0.5, 0.75, 1]
    assert [snapshot.total for snapshot in found] == [4] * 5


async def test_of_a_map_without_end_only_those_that_run_are_kept():
    one, two, ended = await seen(map(lambda _: Work(1.0)(), iter(range(6)), concurrency=2), 0.5, 2.5)
    assert (one.fraction, one.done, len(one.children), one.total) == (0, 0, 2, None)
    assert (two.fraction, two.done, len(two.children), two.eta) == (0, 4, 2, None)
    assert (ended.fraction, ended.done, ended.children) == (1, 6, ())


async def test_every_end_is_shown():
    async def fails():
        raise CallFailed("authentication", "no key")

    plan = parallel(
        {
            "answers": Work(1.0),
            "fails": fails,
            "late": race(Work(9.0)).timeout(2),
            "next": sequence(fails, Work(1.0)),
            "loser": race(Work(1.0), Work(9.0)),
        },
        require="none",
    )
    ended = (await seen(plan))[-1]
    assert states(ended) == ["succeeded", "failed", "timed_out", "failed", "succeeded"]
    assert states(ended.children[3]) == ["failed", "skipped"]
    assert states(ended.children[4]) == ["succeeded", "cancelled"]
    assert ended.children[1].message == "authentication"


async def test_a_failed_task_has_failed_and_one_that_is_cancelled_is_cancelled():
    failed = (await seen(sequence(Work(1.0, error=CallFailed("authentication", "no key")))))[-1]
    assert (failed.state, failed.fraction) == (State.FAILED, 1)
    progress = Progress("task")
    task = started(sequence(Work(9.0), Work(1.0)), progress)
    await asyncio.sleep(1)
    assert progress.snapshot().state is State.RUNNING
    task.cancel()
    await asyncio.wait((task,))
    ended = progress.snapshot()
    assert (ended.state, states(ended)) == (State.CANCELLED, ["cancelled", "skipped"])


async def test_what_is_waited_for_is_said():
    registry = Registry()
    fails = [True]

    async def model(_):
        await asyncio.sleep(1.0)
        if fails.pop() if fails else False:
            raise CallFailed("overloaded", "busy")

    one = registry.declare(model, {"name": "model:small", "concurrency": 1})
    plan = parallel(retry(2, initial_delay=5, jitter=0)(one("?")), one("?"))
    found = await seen(plan, 0.5, 1.5, 6.5)
    said = [[child.message for child in snapshot.children] for snapshot in found[:-1]]
    assert said == [["", "waits for a slot of model"], ["attempt 2 in 4 s", ""], ["attempt 2", ""]]


async def test_a_part_that_is_run_again_is_a_new_one():
    fails = [True, False]

    async def part():
        await asyncio.sleep(1.0)
        if fails.pop(0):
            raise CallFailed("overloaded", "busy")

    plan = retry(2, initial_delay=1, jitter=0)(sequence(Work(1.0), part))
    found = await seen(plan, 1.5, 2.5, 3.5, 4.5)
    assert [snapshot.fraction for snapshot in found] == [0.5, 1, 0, 0.5, 1]
    assert states(found[-1]) == ["succeeded", "succeeded"]


async def test_the_calls_of_a_function_are_parts_as_they_come():
    async def answer():
        await parallel(Work(1.0), Work(2.0))
        await race(Work(2.0))

    first, second, ended = await seen(race(answer), 1.5, 3.0)
    assert (first.fraction, second.fraction, ended.fraction) == (0.5, 0.5, 1)
    assert [node.name for node in every(ended)][:3] == ["task", "0 function", "parallel"]


async def test_a_tree_holds_tasks_and_what_is_done_by_hand():
    engine, report = Engine(lambda plan: plan), Progress("report")
    read, ask = report.child("read", total=2), report.child("ask", weight=2)
    with report:
        with read:
            read.advance(2)
        task = asyncio.ensure_future(engine.run(sequence(Work(1.0), Work(1.0)), watched=ask))
        await asyncio.sleep(1.5)
        assert report.snapshot().fraction == pytest.approx(2 / 3)
        await task
    ended = report.snapshot()
    assert (ended.state, states(ended)) == (State.SUCCEEDED, ["succeeded", "succeeded"])
    assert ask.step is None


async def test_values_are_sampled_until_the_end():
    progress, found = Progress("task"), []
    done = asyncio.get_running_loop().create_future()
    progress.values(every=0.5).subscribe(found.append, done.set_exception, lambda: done.set_result(now()))
    began = now()
    await started(sequence(Work(1.1), Work(1.0)), progress)
    ended = await done
    assert ended - began == pytest.approx(2.5, rel=0.05)
    assert [snapshot.fraction for snapshot in found] == [0, 0, 0, 0.5, 0.5, 1]
    assert [snapshot.over for snapshot in found] == [False] * 5 + [True]
    assert others() == set()


async def test_what_outlives_its_task_is_told_of_as_in_the_result():
    """A call that its deadline ended was timed out, though it has not ended yet."""
    progress, stubborn = Progress("task"), Stubborn()
    plan = deadline(datetime.now(UTC) + timedelta(seconds=1))(parallel(stubborn))
    result = await started(plan, progress)
    assert stubborn.alive == 1
    assert states(progress.snapshot()) == [child.status for child in result.children] == ["timed_out"]
    stubborn.release.set()
    await asyncio.sleep(1)


async def test_who_looks_no_more_leaves_nothing_behind():
    progress, found = Progress("task"), []
    watching = progress.values(every=0.5).subscribe(found.append)
    await asyncio.sleep(1.2)
    watching.dispose()
    await asyncio.sleep(5)
    assert len(found) == 3


@settings(COMMON, max_examples=100)
@given(PLANS, st.none() | st.sampled_from([0, 0.25, 1, 2.5]), st.sampled_from([0.1, 0.3, 1]))
async def test_whatever_a_task_does_its_tree_is_right(spec, cancelled_after, often):
    """At every look, at the end too; and the tree of a task that has a result is that of its result."""
    world, progress = World(), Progress("task")
    task = asyncio.ensure_future(
        Engine(lambda _: race(world.make(spec)), slots=Limit(1)).run(None, task_id="t", watched=progress)
    )
    if cancelled_after is not None:
        asyncio.get_running_loop().call_later(cancelled_after, task.cancel)
    before = progress.snapshot()
    steady = not any(
        word in repr(spec) for word in ("retry", "awaits", "flat_map", "named call")
    ) and not lazy(spec)
    while not task.done():
        await asyncio.wait((task,), timeout=often)
        after = progress.snapshot()
        holds(after, endless=lazy(spec))
        if steady:
            goes_on(before, after, added=len(list(every(before))) != len(list(every(after))))
        before = after
    ended = progress.snapshot()
    assert ended.over
    if not task.cancelled():
        result = task.result()
        assert ended.state.value == result.status.value
        if steady:
            same(ended, result)
    await settled()


def same(snapshot: Snapshot, result) -> None:
    assert snapshot.state.value == result.status.value
    for child, one in zip(snapshot.children, result.each_child(), strict=True):
        same(child, one)
