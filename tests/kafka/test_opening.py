"""Where a partition begins: after crashes, resets, recreated topics and metadata that is not ours."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streamer.kafka.metadata import Identity, Marks, Restored, encode
from streamer.kafka.opening import starting_point
from tests.kafka.rig import Rig


@pytest.mark.parametrize(
    ("restored", "beginning", "end", "frontier", "lost", "warned"),
    [
        (None, 3, 10, 3, 0, False),
        (Restored(5), 0, 10, 5, 0, False),
        (Restored(5, reason="there is no metadata"), 0, 10, 5, 0, True),
        (Restored(5, reason="another topic", topic_made_anew=True), 0, 10, 0, 0, True),
        (Restored(50), 0, 10, 0, 0, True),
        (Restored(5), 8, 10, 8, 3, False),
        (Restored(5, ((6, 7), (9, 12))), 8, 20, 8, 2, False),
        (Restored(10), 10, 10, 10, 0, False),
    ],
    ids=[
        "new group",
        "goes on",
        "reset",
        "topic made anew",
        "behind the end",
        "retention overran",
        "of what was not finished",
        "at the end",
    ],
)
def test_a_partition_begins_where_nothing_is_lost(restored, beginning, end, frontier, lost, warned):
    """The table of beginnings."""
    start = starting_point(restored, beginning, end)
    assert (start.frontier, start.lost) == (frontier, lost)
    assert (start.warning is not None) is warned


def test_the_finished_ones_above_the_frontier_are_kept():
    """What was restored is handed on."""
    assert starting_point(Restored(5, ((6, 9),)), 0, 10).finished == ((6, 9),)


class Counting:
    """A topology's function that counts its calls, and holds some of them up."""

    def __init__(self, rig: Rig) -> None:
        self.calls: list[int] = []
        self.held: set[int] = set()
        self.gate = asyncio.Event()
        self.topology = rig.topology(concurrency=500)

        @self.topology.function
        async def count(number: int) -> int:
            self.calls.append(number)
            if number in self.held:
                await self.gate.wait()
            return number


def tasks(count: int) -> list[dict]:
    return [
        {"id": f"t{number}", "kind": "function", "name": "count", "arguments": {"number": number}}
        for number in range(count)
    ]


@asynccontextmanager
async def crashing(rig: Rig, counting: Counting, **settings):
    """A worker that at the end commits nothing more and is gone without a word."""
    async with rig.worker(counting.topology, **settings) as worker:
        yield worker
        source = worker.source
        source.poller.stopping = True
        source.committer.sample = lambda _, **__: []  # the crash: nothing more is committed
        worker.subscription.dispose()
        await source.consumer.stop()
        worker.sink.on_error(RuntimeError("crashed"))
        worker.source.close = worker.sink.flush = lambda *_: asyncio.sleep(0)


@pytest.fixture
def rig(broker, topic_name) -> Rig:
    return Rig(broker.bootstrap_servers, topic_name, partitions=1)


async def crashed_with_holes(rig: Rig) -> Counting:
    """100 tasks, of which 0 and 50 were under way at the crash."""
    counting = Counting(rig)
    counting.held = {0, 50}
    await rig.create()
    async with crashing(rig, counting):
        await rig.produce(tasks(100), partition=0)
        await rig.read(98)
        await until(lambda: committed_metadata(rig))
    assert sorted(counting.calls) == list(range(100))
    counting.calls.clear()
    counting.gate.set()
    return counting


async def committed_metadata(rig: Rig) -> bool:
    """Whether a commit names all 98, by its stability over two intervals."""
    first = await rig.committed()
    await asyncio.sleep(0.5)
    return bool(first) and first == await rig.committed() and bool(first[0][1])


async def until(condition, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("marks", "below", "crashed"),
    [
        (None, 0, False),
        (Marks(5), 0, False),
        (Marks(8), 8, True),
        (Marks(8, left=True), 8, False),
        (Marks(8, left=True, level=2), 8, True),
        (Marks(1000), 10, True),
    ],
    ids=[
        "the version before",
        "nothing begun",
        "begun",
        "begun, and left in good order",
        "left, with suspects of an earlier crash",
        "beyond the log",
    ],
)
def test_what_may_have_been_begun_before_is_known(marks, below, crashed):
    """A crash is a commit that promised more than was finished, by an owner that never left."""
    start = starting_point(Restored(5, marks=marks), 0, 10)
    assert (start.restarted_below, start.crashed) == (below, crashed)


async def test_holes_survive_a_crash(rig):
    """What had finished above the frontier is not run again; what had not, is."""
    counting = await crashed_with_holes(rig)
    async with rig.worker(counting.topology):
        results = await rig.read(100, settle=0.5)
        await rig.all_committed()
    assert sorted(counting.calls) == [0, 50]
    assert len({result.value["task_id"] for result in results}) == len(results) == 100
    assert rig.warnings == []


@pytest.mark.kafka
async def test_a_reset_offset_runs_again_from_there(rig):
    """Somebody moved the group's offset back: what follows runs again, with one warning."""
    counting = await crashed_with_holes(rig)
    await rig.commit(40, "")
    async with rig.worker(counting.topology):
        await rig.read(98 + 60)
        await rig.all_committed()
    assert sorted(counting.calls) == list(range(40, 100))
    assert len(rig.warnings) == 1


def foreign(text: str) -> str:
    return encode(Identity("another cluster", "topic"), 0, 100, (50,), bytes(8))


@pytest.mark.kafka
@pytest.mark.parametrize(
    "damage",
    [foreign, lambda text: text[: len(text) // 2], lambda text: "not ours", lambda text: text[:-3] + "AAA"],
    ids=["of a foreign cluster", "cut short", "of another program", "altered"],
)
async def test_metadata_that_cannot_be_believed_means_the_frontier_only(rig, damage):
    """Nothing lost: what had finished above the frontier runs again, with one warning."""
    counting = await crashed_with_holes(rig)
    offset, metadata = (await rig.committed())[0]
    await rig.commit(offset, damage(metadata))
    async with rig.worker(counting.topology):
        await rig.read(98 + 100)
        await rig.all_committed()
    assert sorted(counting.calls) == list(range(100))
    assert len(rig.warnings) == 1


@pytest.mark.kafka
async def test_a_topic_made_anew_is_read_from_its_beginning(rig):
    """Its tasks are new ones, whatever offset the group had in the old one."""
    counting = await crashed_with_holes(rig)
    before = (await rig.committed())[0]
    admin = AIOKafkaAdminClient(bootstrap_servers=rig.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([rig.name])
    finally:
        await admin.close()
    await asyncio.sleep(1)
    await rig.create()
    await rig.produce(tasks(80), partition=0)
    await rig.commit(60, before[1])  # as a tool that restores offsets would
    async with rig.worker(counting.topology):
        await rig.read(98 + 80)
        await rig.all_committed()
    assert sorted(counting.calls) == list(range(80))
    assert len(rig.warnings) == 1
