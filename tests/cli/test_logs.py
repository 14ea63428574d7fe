"""What is said on standard error is calm."""

import logging
import re

import pytest

from streamer.cli.logs import OneLine, Repeats


def record(message: str, *arguments: object, error: Exception | None = None) -> logging.LogRecord:
    trace = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("tasks", logging.WARNING, "x.py", 1, message, arguments, trace)


def test_a_record_is_one_line_with_instant_level_and_name() -> None:
    line = OneLine(tracebacks=False).format(record("two\nlines of %d", 7, error=ValueError("bad\nthing")))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning tasks: two lines of 7: ValueError: bad thing", line
    )


def test_a_traceback_is_there_for_whoever_asks() -> None:
    with pytest.raises(ValueError) as caught:
        raise ValueError("bad")
    assert "Traceback" in OneLine(tracebacks=True).format(record("it failed", error=caught.value))


def test_lines_that_differ_in_numbers_only_are_said_once_in_a_while() -> None:
    filtered = Repeats(quiet_for=3_600)
    assert filtered.filter(record("commit 1 failed"))
    assert not filtered.filter(record("commit 2 failed"))
    assert filtered.filter(record("something else"))


def test_what_was_left_out_is_counted() -> None:
    filtered = Repeats(quiet_for=3_600)
    filtered.filter(record("commit 1 failed"))
    filtered.filter(record("commit 2 failed"))
    filtered.quiet_for = 0
    again = record("commit %d failed", 3)
    assert filtered.filter(again)
    assert again.getMessage() == "commit 3 failed (1 more like this were left out)"
