"""``streamer batch``: a file of tasks to a file of results, taken up again where it stopped."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.shell import STREAMER, Done, Running, environment, interruptible, lines, streamer

MODULE = """
import asyncio
from pathlib import Path

import msgspec

from streamer import Topology

topology = Topology("tasks", "results", concurrency=20)


@topology.function
async def wait(seconds: float, number: int = 0) -> int:
    with Path("calls").open("a") as calls:
        calls.write(f"{number}\\n")
    await asyncio.sleep(seconds)
    return number


@topology.function
def nothing() -> float:
    return float("nan")
"""
OWN = """
import msgspec
from streamer import Topology


class Question(msgspec.Struct):
    text: str


topology = Topology("questions", "answers")


@topology.task
def answer(question: Question):
    return question.text.upper()
"""


def echo(number: int, **fields: object) -> dict:
    return {"kind": "llm", "model": "echo:", "prompt": f"p{number}", **fields}


def wait(number: int, seconds: float) -> dict:
    return {"kind": "function", "name": "wait", "arguments": {"seconds": seconds, "number": number}}


class Desk:
    """A directory with a module, tasks.jsonl and, in the end, results.jsonl."""

    flags = ("--input", "tasks.jsonl", "--output", "results.jsonl")

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.input = directory / "tasks.jsonl"
        self.output = directory / "results.jsonl"
        self.progress = directory / "results.jsonl.progress"
        self.dead_letters = directory / "results.dead-letters.jsonl"
        (directory / "module.py").write_text(MODULE)
        (directory / "own.py").write_text(OWN)

    def run(self, *flags: str, module: str = "module", **more) -> Done:
        return streamer("batch", module, *(flags or self.flags), cwd=self.directory, **more)

    def running(self, *flags: str) -> Running:
        return Running("batch", "module", *self.flags, *flags, cwd=self.directory)

    def results(self) -> list[dict]:
        return [json.loads(line) for line in self.output.read_bytes().splitlines()]

    def calls(self) -> Counter[str]:
        return Counter((self.directory / "calls").read_text().split())

    def until(self, count: int) -> None:
        """Wait for so many results."""
        end = time.monotonic() + 30
        while not self.output.exists() or self.output.read_bytes().count(b"\n") < count:
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_every_line_has_its_result_and_nothing_else_is_said(desk: Desk) -> None:
    desk.input.write_bytes(lines(*(echo(n, id=f"t{n}") for n in range(50))))
    done = desk.run()
    assert (done.code, done.out) == (0, "")
    assert done.one_line.startswith("50 tasks: 50 succeeded; ")
    assert {r["task_id"]: r["value"] for r in desk.results()} == {f"t{n}": f"p{n}" for n in range(50)}
    assert not desk.dead_letters.exists()


def test_a_task_without_an_id_is_named_after_its_line(desk: Desk) -> None:
    desk.input.write_bytes(b"\n" + lines(echo(1), echo(2, id="mine")) + b"  \n" + lines(echo(3)))
    desk.run()
    assert sorted(r["task_id"] for r in desk.results()) == ["line-2", "line-5", "mine"]


def test_messages_of_the_users_own_are_answered(desk: Desk) -> None:
    desk.input.write_bytes(lines({"text": "hello"}))
    assert desk.run(module="own.py:topology").code == 0
    assert [(r["task_id"], r["value"]) for r in desk.results()] == [("line-1", "HELLO")]


def test_a_task_that_fails_is_a_result_and_an_exit_code(desk: Desk) -> None:
    broken = {"id": "x", "kind": "function", "name": "nothing"}
    desk.input.write_bytes(lines(echo(1), echo(2, model="none:"), broken))
    done = desk.run()
    assert done.code == 1
    assert done.one_line.startswith("3 tasks: 1 succeeded, 2 failed; ")
    assert {r["task_id"]: r["status"] for r in desk.results()}["x"] == "failed"


def test_a_line_that_is_no_task_is_a_dead_letter_with_its_number_and_reason(desk: Desk) -> None:
    desk.input.write_bytes(lines(echo(1)) + b"\xff{\n" + lines({"id": "a", "kind": "lm"}, echo(2, promt=1)))
    done = desk.run()
    assert done.code == 1
    assert "1 succeeded, 3 dead letters" in done.one_line
    assert "results.dead-letters.jsonl" in done.one_line
    letters = [json.loads(line) for line in desk.dead_letters.read_bytes().splitlines()]
    assert [(letter["line"], letter["reason"]) for letter in letters] == [
        (2, "decode_error"),
        (3, "unknown_kind"),
        (4, "validation_error"),
    ]
    assert "promt" in letters[2]["message"]
    assert letters[1]["task_id"] == "a"


def test_a_line_without_end_is_a_dead_letter_and_takes_no_memory(desk: Desk) -> None:
    with desk.input.open("wb") as file:
        file.write(lines(echo(1)))
        file.write(b'{"kind": "llm", "prompt": "')
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n' + lines(echo(2)))
    assert peak(desk) < 150e6
    assert json.loads(desk.dead_letters.read_bytes())["reason"] == "too_large"
    assert sorted(r["value"] for r in desk.results()) == ["p1", "p2"]


def test_standard_input_and_output_do_as_well(desk: Desk) -> None:
    done = desk.run("--input", "-", "--output", "-", stdin=lines(echo(1), echo(2)) + b"no\n")
    assert done.code == 1
    assert sorted(json.loads(line)["value"] for line in done.out.splitlines()) == ["p1", "p2"]
    assert "line 3: decode_error" in done.err
    assert [path.name for path in desk.directory.iterdir() if path.name.startswith("-")] == []


def test_run_again_there_is_nothing_left_to_do(desk: Desk) -> None:
    desk.input.write_bytes(lines(wait(1, 0), {"kind": "function", "name": "none"}) + b"no\n")
    assert desk.run().code == 1
    before = desk.output.read_bytes(), desk.dead_letters.read_bytes()
    done = desk.run()
    assert (done.code, (desk.output.read_bytes(), desk.dead_letters.read_bytes())) == (1, before)
    assert "3 of them by an earlier run" in done.one_line
    assert desk.calls() == {"1": 1}


def test_lines_that_are_added_at_the_end_are_answered_by_the_next_run(desk: Desk) -> None:
    desk.input.write_bytes(lines(echo(1)))
    assert desk.run().code == 0
    desk.input.write_bytes(lines(echo(1), echo(2)))
    assert desk.run().code == 0
    assert [r["value"] for r in desk.results()] == ["p1", "p2"]


def test_after_kill_9_it_goes_on_and_no_task_comes_twice(desk: Desk) -> None:
    """Ids repeat, so that only the line tells tasks apart."""
    count = 600
    desk.input.write_bytes(lines(*({**wait(n, 0.02), "id": f"t{n % 7}"} for n in range(count))))
    for answered in (50, 200, 350):
        with desk.running() as killed:
            desk.until(answered)
            killed.end(signal.SIGKILL)
        with desk.output.open("ab") as torn:
            torn.write(b'{"task_id": "to')
    done = desk.run()
    assert done.code == 0
    assert "600 succeeded" in done.one_line
    assert Counter(r["value"] for r in desk.results()) == Counter(range(count))
    assert desk.calls().total() <= count + 3 * 41, "only what was under way is called again"


def test_what_a_progress_says_and_the_output_lacks_is_answered_again(desk: Desk) -> None:
    """As after a power cut; the same goes for an output that was removed."""
    desk.input.write_bytes(lines(*(echo(n) for n in range(10))))
    desk.run()
    os.truncate(desk.output, desk.output.stat().st_size // 2)
    with desk.progress.open("ab") as zeros:
        zeros.write(bytes(100))
    assert desk.run().code == 0
    assert sorted(r["value"] for r in desk.results()) == sorted(f"p{n}" for n in range(10))
    desk.output.unlink()
    assert desk.run().code == 0
    assert len(desk.results()) == 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_begins_no_more_and_finishes_what_runs(desk: Desk, number: signal.Signals) -> None:
    desk.input.write_bytes(lines(*(wait(n, 0.3) for n in range(200))))
    with desk.running() as stopped:
        desk.until(20)
        assert stopped.end(number) == 130
    answered = len(desk.results())
    assert answered < 200
    assert desk.calls().total() == answered, "what was begun has its result"
    assert "run it again to go on" in stopped.lines[-1]
    assert desk.run().code == 0
    assert Counter(r["value"] for r in desk.results()) == Counter(range(200))
    assert set(desk.calls().values()) == {1}


def test_what_does_not_end_within_the_drain_timeout_is_left_for_the_next_run(desk: Desk) -> None:
    desk.input.write_bytes(lines(wait(1, 0), wait(2, 300)))
    with desk.running("--drain-timeout", "0.1") as stopped:
        desk.until(1)
        assert stopped.end(signal.SIGINT) == 130
    assert [r["value"] for r in desk.results()] == [1]


def test_a_second_interrupt_ends_at_once(desk: Desk) -> None:
    desk.input.write_bytes(lines(wait(1, 0), wait(2, 300)))
    with desk.running() as stopped:
        desk.until(1)
        stopped.send(signal.SIGINT)
        stopped.until("interrupted")
        assert stopped.end(signal.SIGINT) == 130


def test_a_disk_that_is_full_is_one_line_and_no_loss(desk: Desk) -> None:
    """Here every file may have 20 kB."""
    desk.input.write_bytes(lines(*(echo(n) for n in range(100))))

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [*STREAMER, "batch", "module", *desk.flags]
    full = subprocess.run(
        command,
        cwd=desk.directory,
        env=environment(),
        capture_output=True,
        preexec_fn=little_room,
        check=False,
    )
    assert full.returncode == 2
    assert full.stderr.decode() == "streamer: The results can't be written: File too large.\n"
    assert desk.run().code == 0
    assert Counter(r["value"] for r in desk.results()) == Counter(f"p{n}" for n in range(100))


def test_standard_input_that_gives_nothing_can_be_interrupted(desk: Desk) -> None:
    command = [*STREAMER, "batch", "module", "--input", "-", "--output", "results.jsonl"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(
        command, cwd=desk.directory, env=environment(), preexec_fn=interruptible, **pipes
    ) as waiting:
        assert waiting.stdin is not None
        waiting.stdin.write(lines(echo(1)))
        waiting.stdin.flush()
        desk.until(1)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(20) == 130
    assert [r["value"] for r in desk.results()] == ["p1"]


def test_another_input_is_refused(desk: Desk) -> None:
    desk.input.write_bytes(lines(echo(1), echo(2)))
    desk.run()
    for changed in (lines(echo(2), echo(1)), lines(echo(1)), lines(echo(1), echo(3), echo(4))):
        desk.input.write_bytes(changed)
        done = desk.run()
        assert done.code == 2
        assert "tasks.jsonl was changed since results.jsonl was begun" in done.one_line
    assert len(desk.results()) == 2


def test_an_output_that_is_somebody_elses_is_never_touched(desk: Desk) -> None:
    desk.input.write_bytes(lines(echo(1)))
    desk.output.write_text("precious\n")
    for flags, stdin in ((desk.flags, b""), (("--input", "-", "--output", "results.jsonl"), lines(echo(1)))):
        done = desk.run(*flags, stdin=stdin)
        assert done.code == 2
        assert "results.jsonl is not empty" in done.one_line
    assert desk.output.read_text() == "precious\n"


def test_two_batches_do_not_write_one_output(desk: Desk) -> None:
    desk.input.write_bytes(lines(wait(1, 0), wait(2, 300)))
    with desk.running():
        desk.until(1)
        done = desk.run()
    assert done.code == 2
    assert "Another batch writes to results.jsonl" in done.one_line


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--input", "none.jsonl", "--output", "r"], "none.jsonl"),
        (["--input", "tasks.jsonl", "--output", "tasks.jsonl"], "are the same file"),
        (["--input", "tasks.jsonl", "--output", "no/such/r"], "there is no directory no/such"),
        (["--input", "tasks.jsonl", "--output", "."], "is a directory"),
        (["--input", "tasks.jsonl", "--output", "/dev/null"], "/dev/null is no regular file"),
        (["--input", "tasks.jsonl"], "--output"),
        ([*Desk.flags, "--concurrency", "0"], "--concurrency"),
    ],
)
def test_wrong_use_is_one_line(desk: Desk, flags: list[str], said: str) -> None:
    desk.input.write_bytes(lines(echo(1)))
    before = sorted(path.name for path in desk.directory.iterdir() if "own" not in path.name)
    done = desk.run(*flags)
    assert done.code == 2
    assert said in done.one_line
    assert sorted(path.name for path in desk.directory.iterdir() if "own" not in path.name) == before


def peak(desk: Desk) -> int:
    """The most memory that a run takes, in bytes."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    )
    command = [sys.executable, "-m", "streamer", "batch", "module", *desk.flags]
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        cwd=desk.directory,
        env=environment(),
        capture_output=True,
        check=True,
        timeout=300,
    )
    return int(done.stdout.split()[-1])


def test_memory_does_not_grow_with_the_file(desk: Desk) -> None:
    peaks = []
    for count in (500, 20_000):
        desk.input.write_bytes(lines(*(echo(n) for n in range(count))))
        desk.output.unlink(missing_ok=True)
        desk.progress.unlink(missing_ok=True)
        peaks.append(peak(desk))
    assert peaks[1] - peaks[0] < 10e6
