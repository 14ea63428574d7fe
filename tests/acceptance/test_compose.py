"""What a newcomer does first: docker compose up, a task in, its result out."""

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.brokers.docker import docker_client, have_image
from tests.brokers.server import free_port

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.docker, pytest.mark.kafka, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def composed() -> Iterator[str]:
    """The project, up and healthy, under a name and on a port of its own; gone at the end."""
    client = docker_client()
    if not have_image(client, "python:3.11-slim"):
        pytest.skip("Docker can't pull python:3.11-slim")
    port = free_port()
    command = ["docker", "compose", "-p", f"streamer-test-{uuid.uuid4().hex[:8]}"]

    def compose(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=os.environ | {"KAFKA_PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    if compose("version").returncode:
        pytest.skip("there is no docker compose")
    try:
        started = compose("up", "--build", "--wait", "--wait-timeout", "240", "--quiet-pull")
        if started.returncode:
            pytest.fail(f"{started.stdout[-3000:]}\n{compose('logs', '--tail', '40').stdout}", pytrace=False)
        yield f"localhost:{port}"
    finally:
        compose("down", "--volumes", "--rmi", "local", "--remove-orphans", "--timeout", "45")
        client.close()


async def test_a_task_is_answered_after_docker_compose_up(composed: str) -> None:
    task = {"id": "sum", "kind": "function", "name": "add", "arguments": {"a": 2, "b": 3}}
    results = AIOKafkaConsumer("results", bootstrap_servers=composed, auto_offset_reset="earliest")
    tasks = AIOKafkaProducer(bootstrap_servers=composed)
    async with results, tasks:
        await tasks.send_and_wait("tasks", json.dumps(task).encode())
        record = await asyncio.wait_for(results.getone(), 60)
    result = json.loads(record.value)
    assert (result["task_id"], result["status"], result["value"]) == ("sum", "succeeded", 5)
