"""The tree on a terminal, and nothing anywhere else."""

from __future__ import annotations

import asyncio
from io import StringIO

import pytest
from rich.console import Console

from streamer import Progress, parallel
from streamer.engine import Engine
from streamer.progress import State
from streamer.progress.display import CHILDREN, clock, table
from tests.operators.doubles import Work

pytestmark = pytest.mark.virtual_time


def shown(progress: Progress) -> str:
    console = Console(width=100, file=StringIO(), color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(table(progress.snapshot()))
    return captured.get()


def test_a_line_a_node_with_its_share_and_its_times():
    moment = [0.0]
    report = Progress("report", clock=lambda: moment[0])
    read, ask = report.child("read", total=4), report.child("ask", weight=3)
    read.advance(4)
    moment[0] = 30.0
    read.finish()
    ask.start()
    ask.message = "page [3]"
    moment[0] = 60.0
    lines = [
        " ".join(line.split()).replace("━", "").replace("╸", "").replace("╺", "")
        for line in shown(report).splitlines()
    ]
    assert lines[0].startswith("report ")
    assert lines[0].endswith(" 25 % 1:00 eta 3:00")
    assert lines[1].endswith(" 100 % 0:30")
    assert lines[2].endswith("ask 0:30 page [3]")


def test_of_many_children_those_that_run_or_failed_are_shown_and_the_others_counted():
    report = Progress("report")
    parts = [report.child(f"part {number}") for number in range(40)]
    for part in parts[:20]:
        part.finish()
    parts[25].start()
    parts[30].finish(State.FAILED)
    text = shown(report)
    assert "part 25" in text
    assert "part 30" in text
    assert len(text.splitlines()) == 1 + CHILDREN
    assert text.splitlines()[-1].strip() == "and 18 waiting, 15 succeeded"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.7, "1:00"), (61, "1:01"), (3661, "1:01:01")])
def test_times_are_minutes_and_seconds(seconds, text):
    assert clock(seconds) == text


async def test_it_is_shown_on_a_terminal_until_the_end():
    written = StringIO()
    console = Console(file=written, force_terminal=True, width=80, legacy_windows=False)
    progress = Progress("task")
    with progress.display(console):
        await Engine(lambda _: parallel(Work(2.0), Work(4.0))).run(None, watched=progress)
    text = written.getvalue()
    assert "50 %" in text
    assert text.rindex("100 %") > text.rindex("50 %")
    await asyncio.sleep(5)
    assert written.getvalue() == text


async def test_where_nobody_sees_it_nothing_is_written():
    written = StringIO()
    progress = Progress("task")
    with progress.display(Console(file=written)):
        result = await Engine(lambda _: Work(2.0)()).run(None, watched=progress)
    assert result.succeeded
    assert written.getvalue() == ""
