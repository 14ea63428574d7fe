"""Lines into a topic."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Broker
from tests.cli.reader import records
from tests.cli.shell import Done, lines

pytestmark = pytest.mark.broker
Run = Callable[..., Done]


def test_the_key_is_the_text_of_the_field(broker: Broker, on: Run, topic_name: str) -> None:
    stdin = lines({"user": {"name": "ä b"}}, {"user": {"name": 7}}, {"user": {"name": True}}).rstrip(b"\n")
    done = on("produce", topic_name, "-", "--key", "user.name", stdin=stdin)
    assert (done.code, done.err.splitlines()[-1]) == (0, f"3 records sent to {topic_name}")
    assert {key for key, _ in records(broker, topic_name, 3)} == {"ä b".encode(), b"7", b"true"}


def test_values_are_sent_as_they_are_written(broker: Broker, on: Run, topic_name: str) -> None:
    assert on("produce", topic_name, "-", stdin=b'  {"a" : 1.0}\r\n').code == 0
    assert records(broker, topic_name, 1) == [(None, b'{"a" : 1.0}')]


def test_what_comes_through_a_pipe_is_read_once_and_sent(on: Run, topic_name: str) -> None:
    done = on("produce", topic_name, "/dev/stdin", stdin=lines({"n": 1}, {"n": 2}))
    assert (done.code, done.err.splitlines()[-1]) == (0, f"2 records sent to {topic_name}")


def test_of_a_file_with_a_wrong_line_nothing_is_sent(on: Run, topic_name: str, tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(lines({"id": "a"}, {"di": "b"}))
    done = on("produce", topic_name, str(file), "--key", "id")
    assert (done.code, done.one_line.startswith(f"streamer: {file}, line 2: no key:")) == (2, True)
    assert on("produce", topic_name, "-", stdin=lines({"only": 1})).code == 0
    assert on("consume", topic_name, "--from-beginning", "--timeout", "1").out == '{"only":1}\n'


def test_of_standard_input_the_lines_before_a_wrong_one_are_sent_and_counted(
    on: Run, topic_name: str
) -> None:
    done = on("produce", topic_name, "-", stdin=lines({"n": 1}, {"n": 2}) + b"nope\n" + lines({"n": 3}))
    assert done.code == 2
    assert "standard input, line 3: not JSON" in done.err
    assert done.err.rstrip().endswith("Lines sent before it: 2.")
    shown = on("consume", topic_name, "--from-beginning", "--timeout", "1").out.splitlines()
    assert sorted(shown) == ['{"n":1}', '{"n":2}']


def test_a_missing_topic_is_made_by_produce_and_refused_by_request(on: Run, topic_name: str) -> None:
    refused = on("produce", topic_name, "-", "--no-create", stdin=b"{}")
    assert (refused.code, f"Missing topics: '{topic_name}'" in refused.one_line) == (2, True)
    made = on("produce", topic_name, "-", stdin=b"{}")
    assert made.code == 0
    assert f"Topic '{topic_name}' (topic) was missing; made with 4 partitions." in made.err


@pytest.mark.kafka
def test_produce_says_which_line_the_broker_refused(on: Run, topic_name: str) -> None:
    done = on("produce", topic_name, "-", stdin=lines({"n": 1}, {"n": "x" * 2_000_000}))
    assert done.code == 2
    assert "line 2 was refused by the broker: MessageSizeTooLargeError" in done.err
    assert "Traceback" not in done.err
