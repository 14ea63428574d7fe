"""What check finds in modules and in files of tasks."""

import json
from pathlib import Path

import pytest

from tests.cli.shell import streamer

LLM = {"kind": "llm", "model": "echo:", "prompt": "x"}
NESTED = {
    "kind": "race",
    "tasks": [LLM, {"kind": "parallel", "tasks": {"a": LLM, "b": {**LLM, "model": "nope:x"}}}],
}

WRONG = [
    ({**LLM, "promt": "x"}, "unknown field `promt` - at `$.promt`; did you mean `prompt`?"),
    ({**LLM, "zzzzzz": 1}, "unknown field `zzzzzz` - at `$.zzzzzz`; leave it out, or put it into `metadata`"),
    ({**LLM, "retry": {"max_attemps": 3}}, "- at `$.retry.max_attemps`; did you mean `max_attempts`?"),
    ({**LLM, "timeout": -1}, "validation_error: Expected `float` > 0.0 - at `$.timeout`"),
    ({**LLM, "kind": "lml"}, "unknown_kind: Invalid value 'lml' - at `$.kind`; kinds are llm, function,"),
    ({"prompt": "x"}, "Object missing required field `kind` - at `$`; kinds are llm, function,"),
    ({"kind": "race", "tasks": []}, "validation_error: Expected `array` of length >= 1 - at `$.tasks`"),
    ([LLM], "validation_error: Expected `object`, got `array` - at `$`"),
    (NESTED, "invalid_request: No provider 'nope:x' is known. A model is 'PROVIDER:MODEL'"),
    (NESTED, "or a name that the topology declared. - at `$.tasks[1].tasks.b`"),
    ({**LLM, "model": None}, "invalid_request: The task names no model"),
    (
        {**LLM, "resources": {"gpu": 1}},
        "invalid_request: `resources` has no effect yet in this version; leave it out.",
    ),
    (
        {"kind": "map", "items": [1], "task": {**LLM, "prompt": "{{ itm }}"}},
        "invalid_request: Unknown name itm in a template; there are index, item - at `$.task.prompt`",
    ),
]


@pytest.mark.parametrize(("task", "sentence"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_task_is_named_with_its_line_its_path_and_a_remedy(
    tmp_path: Path, task: object, sentence: str
) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text(f"{json.dumps(LLM)}\n\n{json.dumps(task)}\n")
    done = streamer("check", str(file))
    assert (done.code, done.out) == (2, "")
    first, summary = done.err.splitlines()
    assert first.startswith(f"{file}, line 3: ")
    assert sentence in first
    assert f"{file}: 1 wrong" in summary


def test_what_is_no_json_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(json.dumps(LLM).encode() + b"\n{nope\n\xff\n")
    done = streamer("check", str(file))
    assert done.code == 2
    assert [line.split(": ")[:2] for line in done.err.splitlines()[:2]] == [
        [f"{file}, line 2", "decode_error"],
        [f"{file}, line 3", "decode_error"],
    ]


def test_right_tasks_are_counted_by_kind(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text("".join(f"{json.dumps(task)}\n" for task in (LLM, LLM, {"kind": "race", "tasks": [LLM]})))
    done = streamer("check", str(file))
    assert (done.code, done.out, done.err) == (0, f"{file}: 3 tasks, all right (2 llm, 1 race).\n", "")


@pytest.mark.parametrize(
    "text", [json.dumps([LLM, LLM], indent=2), f"{json.dumps(LLM)}\n{json.dumps(LLM)}\n"]
)
def test_a_json_file_holds_an_array_or_lines(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tasks.json"
    file.write_text(text)
    assert streamer("check", str(file)).out == f"{file}: 2 tasks, all right (2 llm).\n"


def test_a_json_file_may_be_one_task_over_many_lines(tmp_path: Path) -> None:
    file = tmp_path / "task.json"
    file.write_text(json.dumps(LLM, indent=2))
    assert streamer("check", str(file)).out == f"{file}: 1 task, all right (1 llm).\n"


def test_functions_are_judged_by_the_topology_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text(
        '{"kind": "function", "name": "add", "arguments": [1, 2]}\n{"kind": "function", "name": "sub"}\n'
    )
    alone = streamer("check", str(file))
    assert alone.code == 0
    assert "Functions add, sub: name their topology with --module to have them judged." in alone.out
    judged = streamer("check", str(file), "--module", "topologies/tasks.py")
    assert judged.code == 2
    assert "line 2: invalid_request: The topology has no function 'sub'" in judged.err
    assert "line 1" not in judged.err


def test_the_kinds_that_a_topology_takes_are_its_own(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_text(json.dumps({"kind": "race", "tasks": [LLM]}))
    done = streamer("check", str(file), "--module", "topologies/answers.py")
    assert (done.code, "this topology takes Llm alone" in done.err) == (2, True)


def test_a_module_is_described_with_its_settings_and_where_they_came_from() -> None:
    done = streamer("check", "topologies/tasks.py", STREAMER_ORDERING="key", STREAMER_SASL_PASSWORD="secret")
    assert (done.code, done.err) == (0, "")
    rows = [line.split() for line in done.out.splitlines()]
    assert ["concurrency", "100", "topology"] in rows
    assert ["ordering", "key", "STREAMER_ORDERING"] in rows
    assert ["drain_timeout", "30.0", "default"] in rows
    assert ["sasl_password", "***", "STREAMER_SASL_PASSWORD"] in rows
    assert "secret" not in done.out
    assert "tasks, results, tasks.dead-letters, tasks.journal, tasks.control" in done.out
    assert "add (thread), wait (event loop)" in done.out


def test_a_variable_that_is_almost_a_setting_is_pointed_out() -> None:
    done = streamer("check", "topologies/tasks.py", STREAMER_CONCURENCY="5", STREAMER_SERVICE_PORT="80")
    assert (done.code, done.err) == (
        0,
        "streamer: STREAMER_CONCURENCY in the environment is no setting; did you mean STREAMER_CONCURRENCY?\n",
    )


def test_a_declared_provider_without_its_key_is_pointed_out(tmp_path: Path) -> None:
    module = tmp_path / "asks.py"
    module.write_text(
        "from streamer import Topology\nfrom streamer.providers import provider\n"
        "model = provider('openai:gpt-4o-mini', concurrency=7)\nt = Topology('a', 'b')\n"
    )
    lacking = streamer("check", str(module), OPENAI_API_KEY="", OPENAI_BASE_URL="")
    assert lacking.code == 0
    assert "set OPENAI_API_KEY" in lacking.out
    assert "OPENAI_API_KEY" not in streamer("check", str(module), OPENAI_API_KEY="k").out
