"""The topologies that are made to be copied: they load, pass their own check, and answer."""

import asyncio
import importlib
import sys
from collections.abc import Iterator

import pytest

from streamer import Status, Topology
from streamer.providers import default_registry
from streamer.tasks import Function, Llm, Race
from tests.cli.shell import streamer

MODULES = ("tasks", "answers", "batches", "latest")


@pytest.fixture(autouse=True)
def no_providers() -> Iterator[None]:
    """Modules declare theirs anew."""
    default_registry.clear()
    yield
    default_registry.clear()
    for name in MODULES:
        sys.modules.pop(f"topologies.{name}", None)


def load(name: str) -> Topology:
    topology = importlib.import_module(f"topologies.{name}").topology
    assert isinstance(topology, Topology)
    return topology


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("form", ["topologies/{}.py", "topologies.{}"])
def test_check_passes(name: str, form: str) -> None:
    done = streamer("check", form.format(name))
    assert (done.code, done.err) == (0, "")


async def test_tasks_does_what_each_task_says() -> None:
    engine = load("tasks").engine()
    asked = Llm(model="echo:", prompt="hello")
    result = await engine.run(Race(tasks=(asked, Function(name="wait", arguments={"seconds": 60}))))
    assert (result.status, result.value, result.winner) == (Status.SUCCEEDED, "hello", 0)
    assert (await engine.run(Function(name="add", arguments=(2, 3)))).value == 5
    assert (await engine.run(Function(name="wait", arguments=(0, "done")))).value == "done"


async def test_answers_races_two_models_without_any_key() -> None:
    result = await load("answers").engine().run(Llm(prompt="What is the capital of France?"))
    assert (result.status, result.value) == (Status.SUCCEEDED, "What is the capital of France?")
    raced, careful = result.each_child()
    assert [child.kind for child in raced.each_child()] == ["llm", "llm"]
    assert careful.status is Status.SKIPPED


async def test_answers_falls_back_to_the_careful_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUICK_MODEL", "OTHER_MODEL"):
        monkeypatch.setenv(name, f"simulated:{name.lower()}?error_rate=1&error=authentication")
    monkeypatch.setenv("CAREFUL_MODEL", "simulated:careful?text=Paris")
    result = await load("answers").engine().run(Llm(prompt="What is the capital of France?"))
    assert (result.value, result.model, result.winner) == ("Paris", "careful", 1)


async def test_answers_tries_a_quick_model_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICK_MODEL", "simulated:quick?error_rate=1")
    monkeypatch.setenv("OTHER_MODEL", "simulated:other?error_rate=1&error=authentication")
    monkeypatch.setenv("CAREFUL_MODEL", "echo:")
    monkeypatch.setattr(sys.modules["streamer.operators.retry"], "delay", lambda *_: 0.0)
    result = await load("answers").engine().run(Llm(prompt="Paris?"))
    quick, other = result.each_child()[0].each_child()
    assert (len(quick.attempts), len(other.attempts), result.provider) == (3, 1, "echo")


async def test_batches_embeds_many_texts_in_few_calls() -> None:
    topology = load("batches")
    engine = topology.engine()
    results = await asyncio.gather(*(engine.run(topology.task_type(f"text {n}")) for n in range(100)))
    assert len({tuple(result.value) for result in results}) == 100
    assert sum(result.usage.input_tokens for result in results if result.usage) == 200
    assert {result.attempts[0].provider for result in results} == {"embeddings"}


async def test_latest_pays_for_the_last_version_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL", "simulated:model?text=short")
    topology = load("latest")
    monkeypatch.setattr(sys.modules["topologies.latest"], "BURST", 0.01)
    engine = topology.engine()
    versions = [topology.task_type(name, f"version {n}") for n in range(3) for name in "ab"]
    results = await asyncio.gather(*(engine.run(version) for version in versions))
    assert [result.value for result in results] == [{"overtaken": True}] * 4 + ["short"] * 2
    assert [len(result.attempts) for result in results] == [0] * 4 + [1] * 2


def test_check_tells_of_a_stream() -> None:
    assert (
        "summaries(a stream of Document), each within 30 s" in streamer("check", "topologies/latest.py").out
    )
