"""What a module holds, for ``streamer check``."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from streamer.cli.planning import Plan
from streamer.cli.screen import console, table
from streamer.errors import CallFailed
from streamer.providers.registry import Target, default_registry
from streamer.settings import ENVIRONMENT, NAMES
from streamer.streams import Stream
from streamer.tasks import Task
from streamer.topology import Topology

SECRET = ("sasl_password", "ssl_password")
COMPUTED = {"outstanding": "outstanding_limit"}
SHOWN_ABOVE = ("input", "output", "group")


def describe(plans: list[Plan]) -> None:
    """Print topologies with their topics and settings, then the providers of the module."""
    out = console()
    for plan in plans:
        topology = plan.topology
        out.print(
            f"[bold]Topology {escape(topology.name)}[/bold]  {plan.input} → {plan.output}", soft_wrap=True
        )
        facts = table("", "")
        facts.show_header = False
        facts.add_row("  answers", answers(topology))
        facts.add_row("  functions", functions(topology))
        facts.add_row("  group", f"{plan.group}{origin(plan, 'group')}")
        own = ", ".join(f"{topology.name}.{what}" for what in ("dead-letters", "journal", "control"))
        facts.add_row("  topics", f"{plan.input}, {plan.output}, {own}")
        out.print(facts)
        out.print()
        out.print(settings(plan))
        out.print()
    if default_registry.declared:
        out.print(providers(default_registry.declared))
    else:
        out.print(
            "No provider is declared: a task names its model, such as openai:gpt-4o-mini, echo: or simulated:."
        )


def answers(topology: Topology) -> str:
    if topology.answer is None:
        return "any task of the wire, as it says"
    kind = "a task of the wire" if topology.task_type is Task else topology.task_type.__name__
    if isinstance(topology.answer, Stream):
        return f"{topology.answer.function.__name__}(a stream of {kind}), each within {topology.answer.answer_within:g} s"
    return f"{topology.answer.__name__}({kind})"


def functions(topology: Topology) -> str:
    """Registered functions and where they run."""
    if not topology.functions:
        return "none"
    return ", ".join(
        f"{name} ({'process' if function.processes else 'thread' if function.threaded else 'event loop'})"
        for name, function in topology.functions.items()
    )


def origin(plan: Plan, name: str) -> str:
    where = plan.resolved.origins[name]
    return f" ({ENVIRONMENT[name]})" if where == "environment" else ""


def settings(plan: Plan) -> Table:
    """Each setting, its value, and where it came from."""
    shown = table("  setting", "value", "from")
    for name in NAMES:
        if name in SHOWN_ABOVE:
            continue
        value = getattr(plan.settings, COMPUTED.get(name, name))
        where = plan.resolved.origins[name]
        if value is None and (name.startswith(("sasl_", "ssl_")) or name == "ready_file"):
            continue
        text = "***" if name in SECRET else "-" if value is None else str(value)
        shown.add_row(f"  {name}", escape(text), ENVIRONMENT[name] if where == "environment" else where)
    return shown


def providers(declared: dict[str, Target]) -> Table:
    """The providers that the module declared, and whether they could be called."""
    shown = table("provider", "concurrency", "", numbers=("concurrency",))
    for name, target in declared.items():
        limit = str(target.slots.limit) if target.slots is not None else "no limit"
        shown.add_row(
            escape(name), limit, f"[yellow]{escape(lacking)}[/yellow]" if (lacking := lack(target)) else ""
        )
    return shown


def lack(target: Target) -> str:
    """What a provider lacks, if it can tell without a call: its key."""
    authorized = getattr(target.provider, "authorized", None)
    try:
        if authorized is not None:
            authorized()
    except CallFailed as error:
        return str(error)
    return ""
