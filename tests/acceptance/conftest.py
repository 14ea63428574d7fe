"""What acceptance tests may ask for: real processes, and the tasks of the wire answered in process or through Kafka."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from streamer.results import Encoder
from streamer.tasks import Task
from tests.acceptance.topology import acceptance
from tests.brokers import Broker
from tests.chaos.conftest import partitions, site
from tests.kafka.rig import Rig

__all__ = ["partitions", "site"]

Tasks = dict[str, dict[str, Any]]


async def produced(broker: Broker, tasks: Tasks) -> Tasks:
    """All of them at once through one worker; their results by id."""
    rig = Rig(broker.bootstrap_servers, f"acceptance-{uuid4().hex[:8]}")
    async with rig.worker(acceptance(rig.name)):
        await rig.produce([{"id": name, **task} for name, task in tasks.items()])
        results = await rig.read(len(tasks), seconds=30, distinct=True)
    assert rig.warnings == []
    return {result.value["task_id"]: result.value for result in results}


@pytest.fixture(scope="session")
def through_kafka(request: pytest.FixtureRequest, broker: Broker) -> Tasks:
    """The results of every task that a chosen test's module has in ``WIRE``, from one run."""
    tasks: Tasks = {}
    for module in {item.module for item in request.session.items}:  # type: ignore[attr-defined]
        tasks |= getattr(module, "WIRE", {})
    return asyncio.run(produced(broker, tasks))


@pytest.fixture(params=["in process", pytest.param("through Kafka", marks=pytest.mark.broker)])
def answer(request: pytest.FixtureRequest) -> Callable[[str], Awaitable[Any]]:
    """The result, as it travels, of a task that the test's module has in ``WIRE``."""
    if request.param == "through Kafka":
        results = request.getfixturevalue("through_kafka")

        async def looked_up(name: str) -> Any:
            return results[name]

        return looked_up
    engine = acceptance("acceptance").engine()
    encoder = Encoder()

    async def run(name: str) -> Any:
        task = msgspec.convert({"id": name, **request.module.WIRE[name]}, Task)
        return json.loads(encoder.encode(await engine.run(task)))

    return run
