"""Many tasks in process: as an Observable, and as an async iterator that paces its source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
import reactivex as rx

from streamer.engine import Engine
from streamer.errors import SettingsError
from streamer.functions import llm
from streamer.operand import as_single
from streamer.operators import retry
from streamer.results import Result, Status
from streamer.single import Single
from tests.operators.doubles import Script, Work, others, passing
from tests.operators.test_concurrent_map import SOURCES, Seen


class Source:
    """Singles that take so long, one after another; how many were read, and whether it was closed."""

    def __init__(self, count: int, seconds: float = 1.0) -> None:
        self.count = count
        self.work = Work(seconds)
        self.read = 0
        self.closed = False

    def __iter__(self) -> Iterator[Single[Any]]:
        try:
            for _ in range(self.count):
                self.read += 1
                yield as_single(self.work)
        finally:
            self.closed = True


class AsyncSource(Source):
    __iter__ = None  # type: ignore[assignment]

    async def __aiter__(self) -> AsyncIterator[Single[Any]]:
        try:
            for _ in range(self.count):
                self.read += 1
                yield as_single(self.work)
        finally:
            self.closed = True


PULLED = pytest.mark.parametrize(
    "kind", [lambda *a: iter_of(Source(*a)), lambda *a: iter_of(AsyncSource(*a))]
)


def iter_of(source: Source) -> tuple[Source, Any]:
    return source, (aiter(source) if isinstance(source, AsyncSource) else iter(source))


@SOURCES
async def test_answers_come_as_they_are_ready(source: Any) -> None:
    tasks = source(*(as_single(Work(seconds, seconds)) for seconds in (3, 1, 2)))
    seen = Seen(Engine().answers(tasks, concurrency=3))
    assert [result.value for result in await seen.ended()] == [1, 2, 3]
    assert seen.completed


@SOURCES
async def test_a_stream_gives_results_as_they_are_ready(source: Any) -> None:
    tasks = source(*(as_single(Work(seconds, seconds)) for seconds in (3, 1, 2)))
    assert [result.value async for result in Engine().stream(tasks)] == [1, 2, 3]
    assert not others()


@SOURCES
async def test_nothing_in_is_nothing_out(source: Any) -> None:
    assert [result async for result in Engine().stream(source())] == []
    assert await Seen(Engine().answers(source())).ended() == []


async def test_a_failed_task_is_one_result_among_others() -> None:
    results = [result async for result in Engine().stream([llm("a", model="echo:"), llm("b", model="no:")])]
    assert sorted(result.status for result in results) == [Status.FAILED, Status.SUCCEEDED]


@pytest.mark.parametrize("way", ["answers", "stream"])
async def test_so_many_run_at_once_and_a_back_off_holds_no_slot(way: str) -> None:
    engine = Engine()
    waiting = retry(2, initial_delay=100, jitter=0)(Script(passing(), "late"))
    quick = [as_single(Work(1, "quick")) for _ in range(10)]
    if way == "answers":
        results = await Seen(engine.answers([waiting, *quick], concurrency=1)).ended()
    else:
        results = [result async for result in engine.stream([waiting, *quick], concurrency=1)]
    assert [result.value for result in results] == ["quick"] * 10 + ["late"]


@PULLED
async def test_the_source_is_read_only_as_there_is_room_for_results(kind: Any) -> None:
    source, items = kind(1_000, 0.0)
    async with aclosing(Engine().stream(items, concurrency=5)) as results:
        await anext(results)
        await asyncio.sleep(100)
        assert source.read <= 11
        for _ in range(50):
            await anext(results)
        await asyncio.sleep(100)
        assert 51 <= source.read <= 61
    assert source.closed


@PULLED
async def test_closing_a_stream_early_cancels_what_runs_and_closes_the_source(kind: Any) -> None:
    source, items = kind(1_000, 1.0)
    results = Engine().stream(items, concurrency=5)
    await anext(results)
    assert source.work.alive
    await results.aclose()
    assert (source.work.alive, source.closed) == (0, True)
    assert not others()


async def test_cancelling_the_reader_cancels_what_runs() -> None:
    source = Source(10, 50.0)

    async def read() -> None:
        async for _ in Engine().stream(iter(source)):
            pass

    reader = asyncio.ensure_future(read())
    await asyncio.sleep(1)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await asyncio.sleep(0)
    assert (source.work.alive, source.closed, others()) == (0, True, set())


async def test_a_source_that_raises_is_the_streams_error() -> None:
    def broken() -> Iterator[Any]:
        yield as_single(Work(0.0, 1))
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        async for _ in Engine().stream(broken()):
            pass


async def test_an_observable_that_overruns_its_bound_is_an_error() -> None:
    tasks = rx.of(*(as_single(Work(1)) for _ in range(5)))
    with pytest.raises(OverflowError, match="4 tasks wait"):
        async for _ in Engine().stream(tasks, bound=4):
            pass
    seen = Seen(Engine().answers(tasks, concurrency=1, bound=3))
    await seen.ended()
    assert isinstance(seen.error, OverflowError)


async def test_a_task_of_a_stream_is_cancelled_by_its_id() -> None:
    engine = Engine(lambda task: Work(1 if task.id == "b" else 5, task.id)())
    found: list[Result] = []
    async for result in engine.stream([llm("?", id="a"), llm("?", id="b")]):
        found.append(result)
        engine.cancel("a")
    assert [(result.task_id, result.status) for result in found] == [
        ("b", Status.SUCCEEDED),
        ("a", Status.CANCELLED),
    ]


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5])
def test_a_wrong_concurrency_is_refused_before_anything_is_read(concurrency: Any) -> None:
    for way in (Engine().answers, Engine().stream, Engine().stream_sync):
        with pytest.raises(SettingsError, match="concurrency is a whole number of at least 1"):
            way([], concurrency=concurrency)
