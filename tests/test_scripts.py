"""The engine in scripts: without a loop, with a clear error inside one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import streamer
from streamer import Engine, Status, Topology, function, llm
from streamer.errors import StreamerError
from streamer.providers.protocol import Request
from streamer.providers.registry import Registry


class Closable:
    """A provider that remembers whether it was closed."""

    closed = 0

    async def answer(self, request: Request) -> str:
        return request.prompt

    async def close(self) -> None:
        self.closed += 1


def test_one_task_is_one_call() -> None:
    result = streamer.run(llm("Hello", model="echo:", id="t"))
    assert (result.task_id, result.status, result.value) == ("t", Status.SUCCEEDED, "Hello")


def test_a_topology_answers_in_a_script() -> None:
    topology = Topology("tasks", "results")

    @topology.function
    def double(number: int) -> int:
        return 2 * number

    assert topology.engine().run_sync(function("double", 21)).value == 42


def test_providers_are_closed_each_time_and_open_again() -> None:
    provider, registry = Closable(), Registry()
    registry.declare(provider, {"name": "mine"})
    engine = Engine(providers=registry)
    for closed in (1, 2):
        assert engine.run_sync(llm("Hello", model="mine")).value == "Hello"
        assert provider.closed == closed
    assert [result.value for result in engine.stream_sync([llm("Hello", model="mine")])] == ["Hello"]
    assert provider.closed == 3


async def test_the_engine_closes_its_providers() -> None:
    provider, registry = Closable(), Registry()
    registry.declare(provider, {"name": "mine"})
    async with Engine(providers=registry) as engine:
        assert (await engine.run(llm("Hello", model="mine"))).succeeded
    assert provider.closed == 1


async def test_inside_a_loop_it_says_what_to_write_instead() -> None:
    with pytest.raises(StreamerError, match=r"await engine\.run\(task\)"):
        streamer.run(llm("Hello", model="echo:"))
    with pytest.raises(StreamerError, match=r"async for result in engine\.stream\(tasks\)"):
        Engine().stream_sync([])


def test_many_tasks_are_an_iterator_that_reads_as_it_is_read() -> None:
    read = 0

    def tasks() -> Iterator[Any]:
        nonlocal read
        while True:
            read += 1
            yield llm("Hello", model="echo:")

    results = Engine().stream_sync(tasks(), concurrency=3)
    assert [next(results).value for _ in range(10)] == ["Hello"] * 10
    assert read <= 20
    results.close()
    assert [thread for thread in threading.enumerate() if thread.name == "streamer"] == []


def test_what_goes_wrong_in_the_source_reaches_the_script() -> None:
    def tasks() -> Iterator[Any]:
        yield llm("Hello", model="echo:")
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(Engine().stream_sync(tasks()))
