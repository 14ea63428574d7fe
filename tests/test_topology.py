"""What a user writes: the errors of construction say what to do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Union

import msgspec
import pytest

from streamer import Engine, Topology
from streamer.errors import SettingsError
from streamer.tasks import Llm, Race, Retry, Task, TaskBase


class Question(msgspec.Struct):
    text: str


class Other(msgspec.Struct):
    text: str


class Lock:
    pass


class Undecodable(msgspec.Struct):
    both: int | Lock | asyncio.Event


@dataclass
class Plain:
    text: str


@pytest.fixture
def topology() -> Topology:
    return Topology(input="questions", output="answers")


# --- the topology itself


def test_what_is_given() -> None:
    """Its name is the input's, and names the group, unless told otherwise."""
    topology = Topology("questions", "answers")
    assert (topology.name, topology.settings["group"]) == ("questions", "questions")
    named = Topology("questions", "answers", name="answering")
    assert (named.name, named.settings["group"]) == ("answering", "answering")
    assert Topology("questions", "answers", group="others").settings["group"] == "others"
    assert topology.task_type is Task


@pytest.mark.parametrize("field", ["input", "output", "name"])
@pytest.mark.parametrize("topic", ["a b", "ä", "a/b", "x" * 250, "a\n", 5])
def test_names_that_no_topic_can_have(field: str, topic: Any) -> None:
    """The field and the name are in the sentence."""
    given: dict[str, Any] = {"input": "questions", "output": "answers", field: topic}
    with pytest.raises(SettingsError, match=f"Topology {field}: .* is no topic name"):
        Topology(**given)


@pytest.mark.parametrize("field", ["input", "output"])
def test_names_that_are_empty(field: str) -> None:
    """A topic has a name."""
    given: dict[str, Any] = {"input": "questions", "output": "answers", field: ""}
    with pytest.raises(SettingsError, match="is no topic name"):
        Topology(**given)


def test_a_topic_is_no_circle() -> None:
    """What it writes it must not read."""
    with pytest.raises(SettingsError, match="same topic, 'questions'"):
        Topology("questions", "questions")


@pytest.mark.parametrize("retry", [0, True, "exponential", {"max_attempts": 3}])
def test_a_retry_that_is_none(retry: Any) -> None:
    """It is a Retry, or how many attempts."""
    for made in (lambda: Topology("questions", "answers", retry=retry), lambda: Engine(retry=retry)):
        with pytest.raises(
            SettingsError, match=r"retry is how many attempts in all, at least 1, or a streamer.Retry"
        ):
            made()
    assert Topology("questions", "answers", retry=3).retry == Retry(max_attempts=3)
    assert Topology("questions", "answers", retry=Retry(max_attempts=5)).retry == Retry(max_attempts=5)


@pytest.mark.parametrize("name", ["concurency", "bootstrap_servers", "sasl_password", "answer_within"])
def test_unknown_settings(name: str) -> None:
    """They are named, with those that there are."""
    with pytest.raises(SettingsError, match=f"has no setting {name}; there are .*concurrency"):
        Topology("questions", "answers", **{name: 5})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"concurrency": 0}, "concurrency of the topology: Expected `int` >= 1, not 0"),
        ({"concurrency": "many"}, "concurrency of the topology"),
        ({"ordering": "random"}, "ordering of the topology: Expected none or key"),
        ({"drain_timeout": -1}, "drain_timeout of the topology: Expected `float` >= 0.0"),
        ({"drain_timeout": float("nan")}, "drain_timeout of the topology"),
        ({"delivery": "twice"}, "delivery of the topology: Expected at-least-once or exactly-once"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], said: str) -> None:
    """They fail at construction, with the name and the range."""
    with pytest.raises(SettingsError) as caught:
        Topology("questions", "answers", **settings)
    assert said in str(caught.value)


# --- its task function


@pytest.mark.parametrize("annotation", [Any, Task, TaskBase, Llm, Llm | Race, Union[Llm, Race], Question])  # noqa: UP007
def test_what_a_task_function_may_take(topology: Topology, annotation: Any) -> None:
    """A task of the wire, or a Struct of the user's."""

    def answer(task: Any) -> Any:
        return task

    answer.__annotations__["task"] = annotation
    assert topology.task(answer) is answer
    assert topology.task_type == (Task if annotation in (Any, TaskBase) else annotation)


def test_a_task_function_without_annotations(topology: Topology) -> None:
    """It takes tasks of the wire."""
    topology.task(lambda task: task)
    assert topology.task_type is Task


@pytest.mark.parametrize(
    "annotation", [int, dict, str, None, Plain, Question | Other, Question | None, list[Llm]]
)
def test_what_a_task_function_may_not_take(topology: Topology, annotation: Any) -> None:
    """An annotation that is no task would be a lie."""

    def answer(task: Any) -> Any:
        return task

    answer.__annotations__["task"] = annotation
    with pytest.raises(
        SettingsError, match="the parameter of answer is a task of the wire or one msgspec Struct"
    ):
        topology.task(answer)


def test_a_struct_that_cannot_be_decoded(topology: Topology) -> None:
    """It is found at once, not by the first message."""

    def answer(task: Undecodable) -> Any:
        return task

    with pytest.raises(SettingsError, match="the parameter of answer can't be decoded"):
        topology.task(answer)


def test_an_annotation_that_is_not_defined(topology: Topology) -> None:
    """It is named."""

    def answer(task: Qestion) -> Any:  # noqa: F821
        return task

    with pytest.raises(SettingsError, match="names 'Qestion', which is not defined"):
        topology.task(answer)


@pytest.mark.parametrize("function", [lambda: 1, lambda task, more: 1])
def test_one_parameter(topology: Topology, function: Any) -> None:
    """A task function takes the task, no more and no less."""
    with pytest.raises(SettingsError, match="exactly one parameter"):
        topology.task(function)


def test_two_task_functions(topology: Topology) -> None:
    """One topology, one answer."""
    topology.task(lambda task: task)
    with pytest.raises(SettingsError, match=r"'questions' has two functions marked @topology.task"):
        topology.task(lambda task: task)


# --- its functions


def test_functions_have_names(topology: Topology) -> None:
    """Their own, or the one that is given."""

    @topology.function
    def add() -> None: ...

    @topology.function(name="subtract")
    def other() -> None: ...

    assert topology.functions.keys() == {"add", "subtract"}
    assert topology.functions["subtract"].function is other


def test_two_functions_of_one_name(topology: Topology) -> None:
    """A task could not say which."""
    topology.function(lambda: 1, name="add")
    with pytest.raises(SettingsError, match="'questions' has two functions named 'add'"):
        topology.function(lambda: 2, name="add")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"run_in": "rocket"}, "run_in is 'thread', 'process' or 'loop'"),
        ({"retry_on": "network"}, "retry_on holds exception types"),
        ({"retry_on": (ValueError, 5)}, "retry_on holds exception types"),
        ({"concurrency": 0}, "concurrency"),
    ],
)
def test_wrong_settings_of_a_function(topology: Topology, settings: dict[str, Any], said: str) -> None:
    """They fail at construction, with the function's name."""
    with pytest.raises((SettingsError, ValueError), match=said) as caught:
        topology.function(lambda: 1, name="add", **settings)
    assert "add" in str(caught.value)


async def test_its_engine_knows_all_of_it() -> None:
    """The functions, the answer and the retry of a topology are its engine's."""
    topology = Topology("questions", "answers")

    @topology.task
    async def answer(task: Question) -> Any:
        return {"said": task.text}

    engine = topology.engine()
    assert isinstance(engine, Engine)
    assert (await engine.run(Question("Hello"))).value == {"said": "Hello"}
