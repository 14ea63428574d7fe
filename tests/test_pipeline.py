"""The worker's pipeline as a plain RxPY one: stock operators between its stages, drained, and bounded in memory."""

import asyncio
import resource
from dataclasses import dataclass, replace

import pytest
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

from streamer import concurrent_map
from streamer.engine import Engine
from streamer.limits import Limit
from streamer.tasks import Llm

pytestmark = pytest.mark.virtual_time


@dataclass(frozen=True)
class Record:
    offset: int
    text: str | None = None


class Pipeline:
    """records.pipe(map(decode), concurrent_map(answer, slots, bound)), with other operators between."""

    def __init__(self, records: Observable, *, before=(), after=(), limit=5, bound=1000):
        self.slots = Limit(limit)
        self.engine = Engine(slots=self.slots)
        self.results = []
        self.end = asyncio.Event()
        self.error = None
        self.stream = records.pipe(
            *before, ops.map(self.decode), concurrent_map(self.answer, self.slots, bound=bound), *after
        )

    def subscribe(self):
        return self.stream.subscribe(self.results.append, self.failed, self.end.set)

    def failed(self, error):
        self.error = error
        self.end.set()

    def decode(self, record: Record):
        seconds = 1 + record.offset % 3
        return record, Llm(model=f"simulated:m?latency={seconds}", prompt=f"question {record.offset}")

    async def answer(self, item):
        record, task = item
        result = await self.engine.run(task)
        return replace(record, text=result.value)


async def pushed(count: int, subject: Subject) -> None:
    for offset in range(count):
        subject.on_next(Record(offset))
        if offset % 7 == 0:
            await asyncio.sleep(0.1)
    subject.on_completed()


def complete(results, offsets) -> bool:
    return sorted(r.offset for r in results) == list(offsets) and all(
        r.text == f"question {r.offset}" for r in results
    )


async def test_every_record_is_answered_and_the_end_is_the_drain():
    source = Subject()
    pipeline = Pipeline(source)
    pipeline.subscribe()
    await pushed(100, source)
    assert len(pipeline.results) < 100
    await pipeline.end.wait()
    assert complete(pipeline.results, range(100))
    assert (pipeline.slots.peak, pipeline.slots.active) == (5, 0)


async def test_actions_may_look_on_at_every_stage():
    source, seen = Subject(), {"records": [], "results": []}
    pipeline = Pipeline(
        source,
        before=[ops.do_action(seen["records"].append)],
        after=[ops.do_action(seen["results"].append)],
    )
    pipeline.subscribe()
    await pushed(20, source)
    await pipeline.end.wait()
    assert [record.offset for record in seen["records"]] == list(range(20))
    assert seen["results"] == pipeline.results


async def test_a_filter_on_a_copy_takes_nothing_from_the_pipeline():
    """One source, two readers: the copy is filtered, the pipeline goes on whole."""
    source, even = Subject(), []
    records = source.pipe(ops.share())
    pipeline = Pipeline(records)
    copy = records.pipe(ops.filter(lambda record: record.offset % 2 == 0)).subscribe(even.append)
    pipeline.subscribe()
    await pushed(30, source)
    await pipeline.end.wait()
    assert complete(pipeline.results, range(30))
    assert [record.offset for record in even] == list(range(0, 30, 2))
    copy.dispose()


async def test_shared_results_are_computed_once():
    source, slow, other = Subject(), [], []
    pipeline = Pipeline(source, after=[ops.share()])
    calls = []
    answer = pipeline.answer

    async def counted(item):
        calls.append(item)
        return await answer(item)

    pipeline.stream = source.pipe(
        ops.map(pipeline.decode), concurrent_map(counted, pipeline.slots, bound=100), ops.share()
    )
    pipeline.subscribe()
    pipeline.stream.pipe(ops.filter(lambda r: r.offset % 3 == 2)).subscribe(slow.append)
    disposed = pipeline.stream.subscribe(other.append)
    await pushed(30, source)
    disposed.dispose()
    await pipeline.end.wait()
    assert len(calls) == 30
    assert complete(pipeline.results, range(30))
    assert sorted(r.offset for r in slow) == list(range(2, 30, 3))
    assert len(other) < 30


async def test_disposing_is_the_abort():
    source = Subject()
    pipeline = Pipeline(source)
    subscription = pipeline.subscribe()
    await pushed(50, source)
    subscription.dispose()
    done = len(pipeline.results)
    await asyncio.sleep(100)
    assert len(pipeline.results) == done
    assert pipeline.slots.active == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_of_a_stage_is_the_streams():
    def check(record):
        return replace(record, text=str(1 // (5 - record.offset)))

    source = Subject()
    pipeline = Pipeline(source, before=[ops.map(check)])
    pipeline.subscribe()
    await pushed(20, source)
    await pipeline.end.wait()
    assert isinstance(pipeline.error, ZeroDivisionError)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("waits", [False, True])
async def test_a_million_items_take_no_memory(waits):
    """A lazy source is read as there is room, whether its items are answered at once or not."""
    count = 0
    most = 0
    end = asyncio.Event()
    errors = []

    async def answer(item):
        if waits:
            await asyncio.sleep(0)
        return item

    def on_next(_):
        nonlocal count, most
        count += 1
        if count % 50_000 == 0:
            most = max(most, memory())

    def on_error(error):
        errors.append(error)
        end.set()

    before = most = memory()
    source = ((offset, bytes(100)) for offset in range(1_000_000))
    concurrent_map(answer, 100)(source).subscribe(on_next, on_error, end.set)
    await end.wait()
    assert (errors, count) == ([], 1_000_000)
    assert most - before < 50_000_000


def memory() -> int:
    """Bytes that the process has in memory."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * resource.getpagesize()
