"""Many tasks into a topology that is a stream, without Kafka: the last batch waits for no others."""

import asyncio
import json
from pathlib import Path

import pytest
import reactivex as rx
from reactivex import operators as ops

from streamer import Engine
from streamer.streams import Stream
from tests.cli.shell import streamer
from tests.operators.doubles import now


def batches(sizes: list[int]) -> Engine:
    def answers(tasks):
        def each(batch):
            sizes.append(len(batch))
            return rx.from_iterable([(task, task) for task in batch])

        return tasks.pipe(ops.buffer_with_count(10), ops.flat_map(each))

    return Engine(Stream(answers, 30, "tests"))


@pytest.mark.virtual_time
async def test_as_an_async_iterator_and_as_an_observable_again_and_again():
    sizes: list[int] = []
    engine = batches(sizes)
    for _ in range(2):
        assert sorted([result.value async for result in engine.stream(range(24))]) == list(range(24))
        done: asyncio.Future[list] = asyncio.get_running_loop().create_future()
        engine.answers(rx.from_iterable(range(12))).pipe(ops.to_list()).subscribe(
            done.set_result, done.set_exception
        )
        assert sorted(result.value for result in await done) == list(range(12))
    assert sizes == [10, 10, 4, 10, 2] * 2
    assert now() == pytest.approx(0, abs=0.1)


def test_as_a_script():
    sizes: list[int] = []
    assert sorted(result.value for result in batches(sizes).stream_sync(range(12))) == list(range(12))
    assert sizes == [10, 2]


def test_as_a_file(tmp_path: Path):
    module = tmp_path / "pairs.py"
    module.write_text(
        "import reactivex as rx\n"
        "from reactivex import operators as ops\n"
        "from streamer import Topology\n"
        "topology = Topology(input='i', output='o')\n"
        "@topology.stream(answer_within=600)\n"
        "def answers(tasks):\n"
        "    each = lambda batch: rx.from_iterable([(task, len(batch)) for task in batch])\n"
        "    return tasks.pipe(ops.buffer_with_count(10), ops.flat_map(each))\n"
    )
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(json.dumps({"kind": "llm", "prompt": str(n)}) + "\n" for n in range(24)))
    done = streamer("batch", str(module), "--input", str(tasks), "--output", str(tmp_path / "out.jsonl"))
    assert done.code == 0, done.err
    values = [json.loads(line)["value"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(values) == [4] * 4 + [10] * 20
