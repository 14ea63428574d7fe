"""Topics that are missing: shown, made, refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.shell import Done

pytestmark = pytest.mark.broker
Run = Callable[..., Done]


def test_missing_topics_are_refused_by_run_with_no_create(on: Run, topic_name: str) -> None:
    output = f"{topic_name}-out"
    done = on("run", "topologies/tasks.py", "--input", topic_name, "--output", output, "--no-create")
    assert done.code == 2
    assert f"Missing topics: '{topic_name}' (input), '{output}' (output)" in done.one_line
    assert "Create them with `streamer topics MODULE`, or run without --no-create." in done.one_line


def test_topics_shows_what_a_module_needs_and_makes_what_is_missing(
    on: Run, topic_name: str, tmp_path: Path
) -> None:
    module = tmp_path / "needs.py"
    module.write_text(f"from streamer import Topology\nt = Topology('{topic_name}', '{topic_name}-out')\n")

    def shown(*flags: str) -> list[list[str]]:
        done = on("topics", str(module), *flags)
        assert (done.code, done.err) == (0, "")
        return [line.replace("dead letters", "dead-letters").split() for line in done.out.splitlines()[1:]]

    assert [row[-1] for row in shown("--dry-run")] == ["missing"] * 5
    assert [row[-1] for row in shown()] == ["made"] * 5
    rows = shown()
    assert [row[1:3] for row in rows] == [
        ["input", topic_name],
        ["output", f"{topic_name}-out"],
        ["dead-letters", f"{topic_name}.dead-letters"],
        ["journal", f"{topic_name}.journal"],
        ["control", f"{topic_name}.control"],
    ]
    assert [row[-1] for row in rows] == ["exists"] * 5


@pytest.mark.kafka
def test_a_topic_whose_creation_is_refused_is_one_line(on: Run, topic_name: str) -> None:
    taken = f"{topic_name}.x"
    assert on("produce", taken, "-", stdin=b"").code == 0
    like_it = taken.replace(".", "_")  # Kafka refuses names that differ in nothing else
    done = on("run", "topologies/tasks.py", "--input", like_it, "--output", f"{topic_name}-out")
    assert done.code == 2
    assert (
        f"Topic '{like_it}' (input) is missing and its creation was refused: InvalidTopicError"
        in done.one_line
    )
