"""Large values through a directory, by commands alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.brokers import Broker
from tests.cli.reader import records
from tests.cli.shell import Done, lines, streamer

pytestmark = pytest.mark.broker
Run = Callable[..., Done]


def test_what_produce_puts_there_consume_gets_from_there(
    broker: Broker, on: Run, topic_name: str, tmp_path: Path
) -> None:
    sent = [{"id": "small"}, {"id": "large", "text": "x" * 2_000_000}]
    where = ["--claim-check", str(tmp_path)]
    produced = on("produce", topic_name, "-", "--key", "id", *where, stdin=lines(*sent))
    assert (produced.code, produced.err.splitlines()[-1]) == (0, f"2 records sent to {topic_name}")
    assert len(dict(records(broker, topic_name, 2))[b"large"]) < 1_000
    flags = ["--from-beginning", "--count", "2", "--timeout", "20"]
    done = on("consume", topic_name, *flags, *where)
    assert (done.code, done.err) == (0, "")
    assert sorted(map(json.loads, done.out.splitlines()), key=len) == sent
    plain = on("consume", topic_name, *flags)
    assert "claim_check" in plain.out


def test_what_consume_cannot_get_is_printed_as_it_is_with_a_sentence(
    on: Run, topic_name: str, tmp_path: Path
) -> None:
    flags = {"STREAMER_CLAIM_CHECK": str(tmp_path), "STREAMER_CLAIM_CHECK_BYTES": "10"}
    assert on("produce", topic_name, "-", stdin=lines({"id": "not so small"}), **flags).code == 0
    for file in (tmp_path / topic_name).iterdir():
        file.write_text("altered")
    done = on("consume", topic_name, "--from-beginning", "--count", "1", "--timeout", "20", **flags)
    assert (done.code, "claim_check" in done.out) == (0, True)
    assert "its sha256 is another" in done.one_line


def test_a_claim_check_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    for command in (["produce", "x", "-"], ["consume", "x"]):
        done = streamer(*command, "--claim-check", str(tmp_path / "nowhere"))
        assert done.code == 2
        assert "nowhere is no directory that can be written to" in done.one_line
