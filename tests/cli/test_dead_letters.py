"""Dead letters seen and put back by commands."""

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.brokers import Broker
from tests.cli.shell import Done, Running
from tests.kafka.letters import Site as Letters

pytestmark = [pytest.mark.broker, pytest.mark.kafka]
Run = Callable[..., Done]
MIXED = ["decode_error", "poison", "too_large", "poison"]


@pytest.fixture
def letters(broker: Broker, topic_name: str) -> Letters:
    made = Letters(broker.bootstrap_servers, topic_name)
    asyncio.run(made.create())
    return made


def test_list_prints_a_line_for_each_and_totals(letters: Letters, on: Run) -> None:
    asyncio.run(letters.letters(MIXED))
    done = on("dead-letters", "list", "--topic", letters.topic)
    assert done.code == 0
    first, *_ = lines = done.out.splitlines()
    assert len(lines) == 4
    address, _when, *rest = first.split("  ")
    assert address == "0-0"
    assert rest == ["decode_error", "t0", f"{letters.name}-1-100", "It is decode_error."]
    assert done.one_line.startswith("4 dead letters: 2 poison, 1 ")


def test_list_by_module_as_json_and_filtered(letters: Letters, on: Run, tmp_path) -> None:
    asyncio.run(letters.letters(MIXED))
    module = tmp_path / "module.py"
    module.write_text(f"from streamer import Topology\ntopology = Topology({letters.name!r}, 'out')\n")
    flags = ["--json", "--reason", "poison", "--reason", "too_large", "--since", "1h"]
    done = on("dead-letters", "list", str(module), *flags)
    found = [json.loads(line) for line in done.out.splitlines()]
    assert [letter["address"] for letter in found] == ["0-1", "0-2", "0-3"]
    assert found[0]["origin"] == {"topic": letters.name, "partition": 1, "offset": 101}
    assert len(on("dead-letters", "list", str(module), *flags, "--count", "1").out.splitlines()) == 1
    assert on("dead-letters", "list", str(module), "--until", "1h").out == ""
    assert on("dead-letters", "list", str(module), "--since", "2100-01-31T12:00:00Z").out == ""
    done = on("dead-letters", "list", str(module), "--since", "1h", "--until", "2h")
    assert (done.code, done.one_line) == (
        2,
        "streamer: --since 1h is not before --until 2h: there is no time between them.",
    )


def test_show_says_all_of_one_and_what_to_do(letters: Letters, on: Run) -> None:
    asyncio.run(letters.letters(MIXED, headers=[("mine", b"\x1b[31m\xff")]))
    for address in ("0-1", "1"):
        done = on("dead-letters", "show", address, "--topic", letters.topic)
        assert (done.code, done.err) == (0, "")
        for said in (
            f"0-1 of {letters.topic}",
            "poison. It took its worker down three times",
            "Find out what ends the process",
            f"{letters.name}-1-101",
            "  mine: \\x1b[31m\\xff\n",
            "  __connect.errors.exception.message: It is poison.\n",
            'value (12 bytes)\n{\n  "id": "t1"\n}\n',
        ):
            assert said in done.out
    for address, named in (("9", "0-9"), ("7-0", "7-0")):
        missing = on("dead-letters", "show", address, "--topic", letters.topic)
        assert (missing.code, f"There is no dead letter {named}" in missing.one_line) == (2, True)


def test_redrive_says_what_it_does_or_would_do(letters: Letters, on: Run) -> None:
    asyncio.run(letters.letters(MIXED))
    flags = ["dead-letters", "redrive", "--topic", letters.topic]
    dry = on(*flags, "--dry-run")
    assert dry.err == "4 dead letters: 2 poison, 1 decode_error, 1 too_large, would be put back\n"
    done = on(*flags, "--reason", "poison")
    assert (done.code, done.err) == (0, "2 dead letters: 2 poison, put back\n")
    assert done.out.splitlines()[0] == f"0-1  poison  t1  -> {letters.name}-1"
    assert on(*flags).err == "2 dead letters: 1 decode_error, 1 too_large, put back\n"
    assert on(*flags).err == "0 dead letters, put back\n"
    assert sorted(r.value for r in asyncio.run(letters.came())) == [
        f'{{"id": "t{number}"}}'.encode() for number in range(4)
    ]


def test_what_cannot_be_put_back_is_told_and_exit_code_1(letters: Letters, on: Run) -> None:
    asyncio.run(letters.letters(["too_large"], left_out=3_000_000))
    done = on("dead-letters", "redrive", "--topic", letters.topic)
    assert done.code == 1
    assert "streamer: 0-0 stays: its value of 3000000 bytes was left out" in done.err


def test_a_redrive_killed_in_the_middle_loses_and_doubles_nothing(
    broker: Broker, on: Run, topic_name: str
) -> None:
    letters = Letters(broker.bootstrap_servers, topic_name, partitions=2)
    asyncio.run(letters.create())
    for partition in range(2):
        asyncio.run(letters.letters(["poison", "decode_error"] * 2_000, partition=partition))
    flags = ["dead-letters", "redrive", "--topic", letters.topic]
    servers = letters.bootstrap
    for filters in (["--reason", "poison"], []):
        with Running(*flags, *filters, "--bootstrap-servers", servers) as redriving:
            assert redriving.process.stdout is not None
            for _ in range(600):
                assert redriving.process.stdout.readline()
            redriving.process.kill()
            redriving.process.wait(10)
    done = on(*flags)
    assert (done.code, done.err.endswith("put back\n")) == (0, True)
    came = asyncio.run(letters.came())
    found = [dict(record.headers)["streamer-redriven-from"] for record in came]
    assert len(found) == len(set(found)) == 8_000
    assert on(*flags).out == ""
