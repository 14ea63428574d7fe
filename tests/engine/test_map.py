"""The wire's map: one template, a task for each item."""

from typing import Any

import msgspec
import pytest

from streamer.engine import Engine
from streamer.providers.function import FunctionTarget
from streamer.providers.registry import Registry
from streamer.results import Result
from streamer.tasks import Task

SAY = {"kind": "llm", "model": "model:", "prompt": "{{ item }}"}


class World:
    """A model that repeats its prompt, a function that returns its argument, and what both were asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        registry = Registry()
        registry.declare(lambda request: self.heard(request.prompt), {"name": "model:"})
        functions = {"same": FunctionTarget(self.heard, "same", run_in="loop")}
        self.engine = Engine(providers=registry, functions=functions)

    def heard(self, value: Any) -> Any:
        self.asked.append(value)
        return value

    async def map(self, items: Any, task: dict[str, Any], **fields: Any) -> Result:
        form = {"kind": "map", "items": items, "task": task, **fields}
        return await self.engine.run(msgspec.convert(form, Task), task_id="t")


def same(argument: Any) -> dict[str, Any]:
    return {"kind": "function", "name": "same", "arguments": [argument]}


async def test_values_have_their_types():
    items = [1, 2.0, "text", None, True, [1], {"a": 1}]
    result = await World().map(items, same("{{ item }}"))
    assert [(value, type(value)) for value in result.value] == [(item, type(item)) for item in items]


async def test_each_child_is_a_task_of_its_own():
    result = await World().map(
        ["a", "b"], {**SAY, "tag": "says {{ item }}", "metadata": {"n": "{{ index }}"}}
    )
    assert [(child.task_id, child.kind, child.tag, child.metadata) for child in result.children] == [
        ("t/0", "llm", "says a", {"n": 0}),
        ("t/1", "llm", "says b", {"n": 1}),
    ]
    assert [child.attempts[0].id for child in result.children] == ["t/0#1", "t/1#1"]


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (same("{{ item.b }}"), "`item.b` is undefined - at `$.task.arguments[0]`"),
        (
            {**SAY, "prompt": "x", "retry": {"max_attempts": "{{ index }}"}},
            "Expected `int` >= 1 - at `$.task.retry.max_attempts`",
        ),
        (
            {
                "kind": "parallel",
                "tasks": {"a": {**SAY, "prompt": "x"}, "b": {**SAY, "prompt": "x", "tag": "{{ item }}"}},
            },
            "got `object` - at `$.task.tasks.b.tag`",
        ),
        ({"kind": "race", "tasks": "{{ [] }}"}, "Expected `array` of length >= 1 - at `$.task.tasks`"),
        (
            {"kind": "race", "tasks": "{{ [{'kind': 'nope'}] }}"},
            "Invalid value 'nope' - at `$.task.tasks[0].kind`",
        ),
        ({**SAY, "model": "{{ item.model }}:x", "prompt": "x"}, "No provider 'none:x' is known"),
    ],
)
async def test_what_is_wrong_when_rendered_is_a_failed_child_that_names_the_place(task, sentence):
    world = World()
    result = await world.map([{"model": "none"}], task)
    (child,) = result.children
    assert (result.status, child.status, child.error.category) == ("failed", "failed", "invalid_request")
    assert sentence in child.error.message
    assert world.asked == []


async def test_a_wrong_child_leaves_the_others_alone():
    result = await World().map(["a", 5, "c"], SAY, require="any")
    assert (result.status, result.value) == ("succeeded", ["a", None, "c"])
    assert result.successful_values() == ["a", "c"]


async def test_templates_are_rendered_nowhere_else():
    world = World()
    task = msgspec.convert({"kind": "race", "tasks": [SAY]}, Task)
    assert (await world.engine.run(task)).value == "{{ item }}"


async def test_what_a_model_answered_is_not_rendered():
    result = await World().map(["{{ index }}"], {"kind": "sequence", "tasks": [SAY]})
    assert result.value == [["{{ index }}"]]


class TestNested:
    """The items of a map within are rendered by the outer, its task by itself: its item hides the outer's."""

    async def test_the_inner_item_is_the_inner_maps(self):
        inner = {"kind": "map", "items": "{{ item }}", "task": {**SAY, "prompt": "{{ item }}{{ index }}"}}
        result = await World().map([["a", "b"], ["c"]], inner)
        assert result.value == [["a0", "b1"], ["c0"]]
        assert [c.task_id for child in result.children for c in child.children] == ["t/0/0", "t/0/1", "t/1/0"]

    async def test_an_inserted_template_stands_for_no_items(self):
        inner = {"kind": "map", "items": "{{ item }}", "task": SAY}
        result = await World().map(["{{ item }}"], inner)
        assert "`items` is an array" in result.children[0].error.message

    async def test_three_deep(self):
        inner = {"kind": "map", "items": "{{ item }}", "task": same("{{ item }}")}
        result = await World().map([[[1, 2]], [[3]]], {"kind": "map", "items": "{{ item }}", "task": inner})
        assert result.value == [[[1, 2]], [[3]]]


async def test_a_retry_of_the_map_is_that_of_its_children():
    world = World()
    failing = iter([ConnectionError(), None])
    original = world.heard

    def flaky(value: Any) -> Any:
        original(value)
        error = next(failing, None)
        if error is not None:
            raise error
        return value

    world.engine = Engine(functions={"same": FunctionTarget(flaky, "same", run_in="loop")})
    result = await world.map([1], same("{{ item }}"), retry={"max_attempts": 2})
    assert (result.value, world.asked, result.retries) == ([1], [1, 1], 1)
