"""Whatever a stream does with its tasks, each has one result, and nothing is left behind."""

import asyncio
from typing import Any

import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops

from streamer import Engine, Result, Status
from streamer.operand import as_single
from streamer.streams import Stream
from streamer.testing.clock import run
from tests.operators.doubles import Work, others, passing

ENDS = {"value", "failure", "left out", "twice", "call", "inside", "error", "end"}
TASKS = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.integers(0, 10),
            "after": st.integers(0, 5),
            "does": st.sampled_from(sorted(ENDS)),
            "cancel": st.none() | st.integers(0, 8),
        }
    ),
    max_size=12,
)
GATHERED = {
    "not at all": lambda tasks: tasks,
    "by count": ops.compose(ops.buffer_with_count(3), ops.flat_map(rx.from_iterable)),
    "by time": ops.compose(ops.buffer_with_time_or_count(2, 4), ops.flat_map(rx.from_iterable)),
    "by kind": ops.compose(ops.group_by(lambda task: task["does"]), ops.flat_map(lambda group: group)),
    "merged": lambda tasks: rx.merge(tasks, rx.never()),
}


def outcome(task: dict[str, Any]) -> Observable[Any]:
    """What the stream does with a task, in its time."""

    def told(_: Any) -> Observable[Any]:
        work = Work(task["after"], "answer")
        match task["does"]:
            case "value":
                return rx.of((task, "answer"))
            case "failure":
                return rx.of((task, passing()))
            case "left out":
                return rx.empty()
            case "twice":
                return rx.of((task, 1), (task, 2), "no pair")
            case "call":
                return rx.of((task, as_single(work)))
            case "inside":
                return as_single(work).pipe(ops.map(lambda answer: (task, answer)))
            case "error":
                return rx.throw(passing("the stream's own"))
        return rx.of("end")

    return rx.timer(task["after"]).pipe(ops.flat_map(told))


@given(tasks=TASKS, gathered=st.sampled_from(sorted(GATHERED)), drain=st.integers(0, 20))
def test_every_task_has_one_result_and_nothing_is_left(tasks, gathered, drain):
    async def story() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        stream = Stream(
            lambda source: source.pipe(
                GATHERED[gathered], ops.flat_map(outcome), ops.take_while(lambda pair: pair != "end")
            ),
            30,
            "tests",
        )
        engine = Engine(stream)

        async def ask(task: dict[str, Any]) -> Result | None:
            await asyncio.sleep(task["at"])
            work = asyncio.ensure_future(engine.run(task))
            if task["cancel"] is not None:
                loop.call_later(task["cancel"], work.cancel)
            await asyncio.wait((work,))
            return None if work.cancelled() else work.result()

        waiting = asyncio.gather(*map(ask, tasks))
        loop.call_later(drain, engine.complete)
        for task, result in zip(tasks, await waiting, strict=True):
            if result is None:
                assert task["cancel"] is not None
                continue
            assert result.status in (Status.SUCCEEDED, Status.FAILED)
            if task["does"] in ("failure", "left out"):
                assert result.status is Status.FAILED
            if result.error is not None:
                assert result.error.category in ("internal", "overloaded")
        assert stream.waiting == 0
        await asyncio.sleep(drain)
        engine.complete()
        await asyncio.sleep(40)
        assert not others()

    run(story())
