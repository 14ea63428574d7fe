"""Tasks in, results out, by commands alone."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Broker
from tests.cli.reader import records
from tests.cli.shell import Done, Running, lines

pytestmark = pytest.mark.broker
Run = Callable[..., Done]


def test_what_is_produced_is_answered_and_can_be_consumed(
    broker: Broker, on: Run, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    tasks, results = unique_name("tasks"), unique_name("results")
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(
        lines(
            *({"id": f"t{n}", "kind": "llm", "model": "echo:", "prompt": f"question {n}"} for n in range(20))
        )
        + b"\n"
        + lines(
            {"id": "t20", "kind": "function", "name": "add", "arguments": [2, 3]},
            {"id": "t21", "kind": "nope"},
        )
    )
    produced = on("produce", tasks, str(file), "--key", "id")
    assert (produced.code, produced.out) == (0, "")
    assert produced.err.splitlines()[-1] == f"22 records sent to {tasks}"

    flags = ["--input", tasks, "--output", results, "--group", tasks]
    with Running(
        "run", "topologies/tasks.py", *flags, STREAMER_BOOTSTRAP_SERVERS=broker.bootstrap_servers
    ) as worker:
        assert f"{tasks} -> {results}, group {tasks}, 4 partitions" in worker.until("ready")
        consumed = on("consume", results, "--from-beginning", "--count", "21", "--timeout", "20")
        assert (consumed.code, consumed.err) == (0, "")
        assert worker.end(signal.SIGTERM) == 0
        assert [line for line in worker.lines if "ready" in line] == [worker.until("ready")]
    found = {result["task_id"]: result for result in map(json.loads, consumed.out.splitlines())}
    assert {key: result["value"] for key, result in found.items()} == {
        f"t{n}": f"question {n}" for n in range(20)
    } | {"t20": 5}
    assert dict(records(broker, results, 21)).keys() == {f"t{n}".encode() for n in range(21)}
