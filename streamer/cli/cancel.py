"""``streamer cancel``: tells the workers of a topology that a task is not wanted any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from streamer.cli import logs
from streamer.cli.options import Module, NoCreate, Servers, Verbose

if TYPE_CHECKING:
    from streamer.cli.planning import Plan


def cancel(
    module: Module,
    task_ids: Annotated[
        list[str], typer.Argument(metavar="TASK_ID…", show_default=False, help="The tasks' ids.")
    ],
    bootstrap_servers: Servers = None,
    no_create: NoCreate = False,
    verbose: Verbose = False,
) -> None:
    """End tasks as cancelled, wherever they run.

    Each worker of the module's topologies hears of it through NAME.control. A task that runs is ended, one that waits
    or comes within an hour is answered without a call; one that has its result keeps it.
    """
    import asyncio
    import sys

    from streamer.cli.loading import load
    from streamer.cli.planning import plan

    logs.begin(verbose)
    if "" in task_ids:
        raise typer.BadParameter("A task's id has at least one character", param_hint="TASK_ID")
    plans = plan(load(module), {"bootstrap_servers": bootstrap_servers})
    asyncio.run(ask(plans, task_ids, not no_create))
    names = ", ".join(plan.topology.name for plan in plans)
    print(f"workers of {names} were asked to cancel {', '.join(task_ids)}", file=sys.stderr)


async def ask(plans: list[Plan], task_ids: list[str], create_missing: bool) -> None:
    """Send the commands."""
    import msgspec
    from aiokafka import AIOKafkaProducer
    from aiokafka.errors import KafkaError

    from streamer.kafka.control import wanted
    from streamer.kafka.topics import Unreachable, ensure, explained

    for plan in plans:
        topic = wanted(plan.topology.name)
        await ensure(plan.connection, [topic], create_missing=create_missing)
        producer = AIOKafkaProducer(**plan.connection.client("streamer-cancel"), acks="all")
        await producer.start()
        try:
            for task_id in task_ids:
                command = msgspec.json.encode({"cancel": task_id})
                await producer.send_and_wait(topic.name, command, key=task_id.encode())
        except KafkaError as error:
            raise Unreachable(explained(plan.connection, error)) from error
        finally:
            await producer.stop()
