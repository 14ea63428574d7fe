"""The first thing that a newcomer runs."""

import time
from pathlib import Path

import pytest

from tests.cli.shell import Running, streamer


@pytest.mark.broker
def test_the_demo_shows_the_whole_line_in_under_15_seconds() -> None:
    began = time.monotonic()
    done = streamer("demo")
    assert time.monotonic() - began < 15
    assert (done.code, done.err) == (0, "")
    out = done.out
    assert "480 tasks in" in out
    assert "per second" in out
    assert " of 480 answered" in out
    assert all(
        f"\n{kind} " in out for kind in ("fallback", "function", "llm", "parallel", "race", "sequence", "all")
    )
    assert all(word in out for word in ("succeeded", "failed", "timed out", "p50", "p90", "p99"))
    assert all(
        f"\n{name} " in out for name in ("echo", "function:look_up", "simulated:quick", "simulated:stuck")
    )
    assert "1 dead letter." in out
    assert "validation_error" in out
    assert "unknown field `promt`" in out
    assert out.index("Next") < out.index("streamer run topologies/tasks.py") < out.index("consume results")


@pytest.mark.broker
def test_the_numbers_of_the_summary_add_up() -> None:
    lines = streamer("demo", "--tasks", "60").out.splitlines()
    by_kind = [
        line.split() for line in lines[lines.index(next(x for x in lines if x.startswith("task "))) + 1 :]
    ]
    rows = by_kind[: by_kind.index([])]
    assert sum(int(row[1]) for row in rows[:-1]) == int(rows[-1][1]) == 59
    statuses = [sum(int(cell.replace("-", "0")) for cell in row[2:5]) for row in rows]
    assert statuses == [int(row[1]) for row in rows]


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "confluent_kafka.py").write_text("raise ImportError('not there')\n")
    done = streamer("demo", PYTHONPATH=str(tmp_path))
    assert (done.code, done.out) == (2, "")
    assert 'pip install "streamer[embedded]"' in done.one_line


@pytest.mark.broker
def test_it_can_be_interrupted() -> None:
    import signal

    with Running("demo") as demo:
        time.sleep(2)
        assert demo.end(signal.SIGINT) == 130
        assert not any("Traceback" in line for line in demo.lines)
